-- component: pgq
-- A tick says which ticks of an upstream it contains, and which nodes are above it.
alter table pgq.tick
    add column tick_origins jsonb,
    add column tick_path bigint[];
create index tick_path_idx on pgq.tick (tick_queue, tick_id) where tick_path is not null;
