-- pgq.tick: the ticks of a queue, a chain: what a tick's snapshot sees, every later tick's snapshot sees.
-- tick_event_seq: the event sequence, read before the snapshot was taken. An event with a number up to it that the
-- snapshot does not see was written by a transaction that was open then; tick_open lists those transactions (null:
-- none), so that the first tick after their end need not wait for the idle period.
-- tick_tag: a random identity: the same tick_id with another tag is another history (a restored provider).
-- tick_origins: the ticks of other nodes' queues that the tick contains, nearest first: [[epoch, tick, tag], ...];
-- null: the queue's tables equal no tick of another queue.
-- tick_path: the nodes above this one whose changes the tick may show, by node id; null: none.
-- Users must not: write to it.
create table pgq.tick (
    tick_queue     int4          not null,
    tick_id        bigint        not null,
    tick_time      timestamptz   not null default now(),
    tick_snapshot  txid_snapshot not null default txid_current_snapshot(),
    tick_event_seq bigint        not null,
    tick_tag       bigint        not null default pgq.random_id(),
    tick_open      bigint[],
    tick_origins   jsonb,
    tick_path      bigint[],
    constraint tick_pkey primary key (tick_queue, tick_id),
    constraint tick_queue_fkey foreign key (tick_queue) references pgq.queue (queue_id)
);
-- "The last tick at most N events away" is one probe, however many ticks a consumer is behind.
create index tick_event_seq_idx on pgq.tick (tick_queue, tick_event_seq, tick_id);
-- The nodes of a batch are found without reading its ticks where there are none.
create index tick_path_idx on pgq.tick (tick_queue, tick_id) where tick_path is not null;
