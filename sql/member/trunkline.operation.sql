-- Table trunkline.operation: what moves the provider of a set from one node to another, and how far it is. The command
-- that moves it can be killed at any instruction: what is here says what has been done, and what may follow. The same
-- row is on the node that was the provider (old) and on the one that becomes it (new); each has the step that was begun
-- there.
--
--   kind         switchover or failover
--   old_node, old_name, new_node, new_name   the two nodes (trunkline.node)
--   was_fenced   old was fenced before, by hand: an operation that is aborted leaves it so
--   step         prepare: nothing has changed. freeze: of a failover, this node is held. fence: old may be being fenced.
--                catch-up: old is fenced by this operation, and the final tick is here. promote: new may be being
--                promoted, as soon as it has the final tick. promoted: new is the provider (trunkline.promote
--                writes it). open: its tables are being opened. follow: the others turn to it. done, aborted: it
--                is over
--   started_by, started_at, changed_at   by whom and when; changed_at also while the command waits
--   final_epoch, final_tick_id, final_tick_tag   old's final tick
--   error        why it was aborted
--   old_term     of a failover: the term of old, after which new has the next one
--   final_tick_time   of a failover: when the final tick was made, by old's clock: what old has committed since is lost
--   heard_tick_id, heard_tick_time   of a failover: the last tick of old that any node has heard of, and until when old is
--                known to have taken writes: that tick's time, or later, if it had taken more when it was heard last
--   sequence_margin   of a failover: how many steps more each sequence is set forward
-- A failover has a row on each node that is heard, since each is held where it stands (trunkline.freeze); the new node's row
-- is the one that counts.
-- The row is also a lock: who does what cannot be taken back holds it (trunkline.hold_operation), who aborts waits.
-- Users must not write to it.
create table trunkline.operation (
    queue_name     text        not null,
    operation_id   bigint      not null,
    kind           text        not null check (kind in ('switchover', 'failover')),
    old_node       bigint      not null,
    old_name       text,
    new_node       bigint      not null,
    new_name       text,
    was_fenced     boolean     not null,
    step           text        not null check (step in ('prepare', 'freeze', 'fence', 'catch-up', 'promote', 'promoted',
                                                        'open', 'follow', 'done', 'aborted')),
    started_by     text        not null default session_user,
    started_at     timestamptz not null default clock_timestamp(),
    changed_at     timestamptz not null default clock_timestamp(),
    final_epoch    bigint,
    final_tick_id  bigint,
    final_tick_tag bigint,
    error          text,
    old_term       bigint,
    final_tick_time timestamptz,
    heard_tick_id  bigint,
    heard_tick_time timestamptz,
    sequence_margin int4,
    primary key (queue_name, operation_id),
    constraint operation_nodes check (old_node <> new_node),
    constraint operation_final check (num_nulls(final_epoch, final_tick_id, final_tick_tag) in (0, 3))
);
-- One at a time.
create unique index operation_running on trunkline.operation (queue_name) where step not in ('done', 'aborted');
revoke all on table trunkline.operation from public;
