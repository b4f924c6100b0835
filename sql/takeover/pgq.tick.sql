-- PgQ's pgq.tick becomes ours. Its ticks are kept, with a tag each, and with them the positions of consumers.
alter table pgq.tick
    add column tick_tag  bigint not null default pgq.random_id(),
    add column tick_open bigint[],
    add column tick_origins jsonb,
    add column tick_path bigint[];
create index tick_event_seq_idx on pgq.tick (tick_queue, tick_event_seq, tick_id);
create index tick_path_idx on pgq.tick (tick_queue, tick_id) where tick_path is not null;
