-- component: pgq
-- Columns for growing queues, limits on what consumers hold, and the start of the kept ticks; no index on open batches.
alter table pgq.queue
    add column queue_max_tables       int4     not null default 12,
    add column queue_retention_age    interval not null default '1 day',
    add column queue_retention_bytes  bigint   not null default 0,
    add column queue_retention_action text     not null default 'warn',
    add column queue_first_tick       bigint   not null default 0;
alter table pgq.subscription
    drop constraint subscription_batch_idx,
    add column sub_over_since   timestamptz,
    add column sub_detached     timestamptz,
    add column sub_detached_why text;
