-- pgq.retry_queue: events that a consumer wants again at a later time. ev_owner is the sub_id that asked.
-- Users must not: write to it; event_retry does.
create table pgq.retry_queue (
    ev_retry_after timestamptz not null,
    ev_queue       int4        not null,
    like pgq.event_template,
    constraint rq_pkey primary key (ev_owner, ev_id),
    constraint rq_queue_id_fkey foreign key (ev_queue) references pgq.queue (queue_id)
);
alter table pgq.retry_queue alter column ev_txid drop not null;
create index rq_retry_idx on pgq.retry_queue (ev_retry_after);
