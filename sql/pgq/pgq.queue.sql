-- pgq.queue: one row a queue.
-- Beyond PgQ 3.5: queue_epoch is the identity of this making of the queue, so that a queue dropped and made again is
-- not taken for the old one; queue_truncated_txid is the greatest ev_txid that a rotation ever truncated: no consumer
-- may stand at a tick whose snapshot does not see it; queue_tick_txid: ticks whose xmin is below it are too old to be
-- kept for anybody but the consumers that are still there; queue_first_tick: no tick below it is left, so that whoever
-- looks for the oldest does not walk over deleted ones, which stay while somebody holds a snapshot.
-- queue_ends_at: the last tick that trunkline.next_batch gives: the log of a node that takes no writes ends there; null: the
-- log goes on. queue_max_tables: how many event tables rotation may add up to. queue_retention_*: how old or how big a consumer's
-- backlog may get (0: no limit), and what happens then (set_queue_config; pgq.maint_retention).
-- The row is also the queue's lock: ticks, rotation and moves of consumers take it, each for a moment.
-- Users must not: write to it; set_queue_config checks ranges.
create table pgq.queue (
    queue_id                 serial      not null,
    queue_name               text        not null,
    queue_ntables            int4        not null default 3,
    queue_cur_table          int4        not null default 0,
    queue_rotation_period    interval    not null default '2 hours',
    queue_switch_step1       bigint      not null default txid_current(),
    queue_switch_step2       bigint               default txid_current(),
    queue_switch_time        timestamptz not null default now(),
    queue_external_ticker    bool        not null default false,
    queue_disable_insert     bool        not null default false,
    queue_ticker_paused      bool        not null default false,
    queue_ticker_max_count   int4        not null default 500,
    queue_ticker_max_lag     interval    not null default '3 seconds',
    queue_ticker_idle_period interval    not null default '1 minute',
    queue_per_tx_limit       int4,
    queue_data_pfx           text        not null,
    queue_event_seq          text        not null,
    queue_tick_seq           text        not null,
    queue_extra_maint        text[],
    queue_epoch              bigint      not null default pgq.random_id(),
    queue_truncated_txid     bigint      not null default 0,
    queue_tick_txid          bigint      not null default 0,
    queue_max_tables         int4        not null default 12,
    queue_retention_age      interval    not null default '1 day',
    queue_retention_bytes    bigint      not null default 0,
    queue_retention_action   text        not null default 'warn',
    queue_first_tick         bigint      not null default 0,
    queue_ends_at            bigint,
    constraint queue_pkey primary key (queue_id),
    constraint queue_name_uq unique (queue_name)
) with (fillfactor = 50);
