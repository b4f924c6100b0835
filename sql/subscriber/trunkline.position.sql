-- Table trunkline.position: where each consumer of a provider's queue stands on this subscriber.
--
-- One row a consumer. It is written in the same transaction as the data of the
-- batch, by compare-and-swap over (epoch, tick_id, tick_tag, tables_version):
-- this is what makes delivery exactly once. Nothing but replay writes here.
--
--   epoch, tick_id, tick_tag   the tick whose snapshot the tables in state `ok` equal
--   tables_version             grows when somebody else than the batch loop removes a
--                              table or adds a sequence, so that a loop with an old
--                              list cannot commit
--   paused                     the job keeps its position and applies nothing
--   conflicts                  rows that were not as the change said, since the install
--   batch_rows                 rows that the batch in hand has written so far, and not committed:
--                              shown while one takes seconds, by another session than the one that
--                              applies it; null else
--   last_error                 why the loop does not go on now, without values of rows; null when it does
--   origins                    the same place by the names that it has in the logs further up, nearest first:
--                              [[epoch, tick, tag], ...] (pgq.tick.tick_origins); null: it has none
--   path                       the nodes whose changes the tables may get, by node id; none is missing at the moment
--                              when its first change is committed (trunkline.log_origins)
--   left_nodes, left_txid      nodes that were in path before, and the transaction that took the last ones out: the
--                              next tick still names them
--   followed                   the nodes above this one, the provider first, as they were when it was asked last; it is
--                              asked before a copy and before the first batch; null: not asked yet
--   session_role               how the tables are written, as the job's config says: replica or origin; null: not
--                              told yet
--   address                    where the provider was when the position got there: host, port and database, without
--                              credentials; null: not known yet
--   last_error_advice          what somebody must do about it; null where it may pass by itself
--   held_by                    the failover that keeps this node where it stands (trunkline.freeze): nobody applies
--                              another batch, and no batch in hand commits; null: none
--   source                     the archive that the batches are read from; null: the queue

create table trunkline.position (
    consumer        text        primary key,
    job             text        not null,
    queue           text        not null,
    epoch           bigint      not null,
    tick_id         bigint      not null,
    tick_tag        bigint      not null,
    tick_time       timestamptz not null,
    tables_version  bigint      not null default 0,
    paused          boolean     not null default false,
    conflicts       bigint      not null default 0,
    last_error      text,
    last_error_at   timestamptz,
    applied_at      timestamptz not null default now(),
    batch_rows      bigint,
    last_error_advice text,
    origins         jsonb,
    path            bigint[],
    left_nodes      bigint[],
    left_txid       bigint,
    followed        bigint[],
    session_role    text,
    address         text,
    held_by         bigint,
    source          text
) with (fillfactor = 50);
