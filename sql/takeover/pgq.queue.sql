-- PgQ's pgq.queue becomes ours. Every queue gets an identity of its own.
alter table pgq.queue
    add column queue_epoch            bigint   not null default pgq.random_id(),
    add column queue_truncated_txid   bigint   not null default 0,
    add column queue_tick_txid        bigint   not null default 0,
    add column queue_max_tables       int4     not null default 12,
    add column queue_retention_age    interval not null default '1 day',
    add column queue_retention_bytes  bigint   not null default 0,
    add column queue_retention_action text     not null default 'warn',
    add column queue_first_tick       bigint   not null default 0,
    add column queue_ends_at          bigint;
alter table pgq.queue set (fillfactor = 50);
