-- pgq.subscription: where each consumer of a queue stands. sub_last_tick is done; sub_batch and sub_next_tick are the
-- open batch, if there is one. sub_owner is the role that registered it: only that role or an admin may move it.
-- sub_id is not unique: members of a cooperating consumer share it.
-- sub_over_since: when its backlog was first found above the queue's limit, and has been at each look since.
-- sub_detached: it was above for too long: it holds nothing any more, and can do nothing until it is registered anew;
-- sub_detached_why says what the limit was.
-- sub_head: of a cooperating consumer: the sub_consumer of the head, for the head itself too; else null.
-- sub_whole: the tables, by oid, of which replay's subscriber had every change up to sub_last_tick when replay last said
-- so; null: replay has not said (it does while somebody waits: trunkline.wait_replicated).
-- No index holds sub_batch, as PgQ's does: see pgq._subscription_of.
-- Users must not: write to it.
create sequence pgq.batch_id_seq;
create table pgq.subscription (
    sub_id           serial      not null,
    sub_queue        int4        not null,
    sub_consumer     int4        not null,
    sub_last_tick    bigint,
    sub_active       timestamptz not null default now(),
    sub_batch        bigint,
    sub_next_tick    bigint,
    sub_owner        oid,
    sub_over_since   timestamptz,
    sub_detached     timestamptz,
    sub_detached_why text,
    sub_head         int4,
    sub_whole        oid[],
    constraint subscription_pkey primary key (sub_queue, sub_consumer),
    constraint sub_queue_fkey foreign key (sub_queue) references pgq.queue (queue_id),
    constraint sub_consumer_fkey foreign key (sub_consumer) references pgq.consumer (co_id)
) with (fillfactor = 50);
