-- pgq.subscription: where each consumer of a queue stands. sub_last_tick is done; sub_batch and sub_next_tick are the
-- open batch, if there is one. sub_owner is the role that registered it: only that role or an admin may move it.
-- sub_id is not unique: members of a cooperating consumer share it.
-- Users must not: write to it.
create sequence pgq.batch_id_seq;
create table pgq.subscription (
    sub_id        serial      not null,
    sub_queue     int4        not null,
    sub_consumer  int4        not null,
    sub_last_tick bigint,
    sub_active    timestamptz not null default now(),
    sub_batch     bigint,
    sub_next_tick bigint,
    sub_owner     oid,
    constraint subscription_pkey primary key (sub_queue, sub_consumer),
    constraint subscription_batch_idx unique (sub_batch),
    constraint sub_queue_fkey foreign key (sub_queue) references pgq.queue (queue_id),
    constraint sub_consumer_fkey foreign key (sub_consumer) references pgq.consumer (co_id)
) with (fillfactor = 50);
