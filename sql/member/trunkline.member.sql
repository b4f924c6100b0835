-- Table trunkline.member: the other nodes of a set, as this node has last heard of each.
--
--   node_id, name, number   who it is (trunkline.node)
--   client         how clients reach it; null: it does not say
--   role, term     what it said that it is
--   since          since when it has the role, by its own clock; null: it has none, and follows
--   upstream       the node that it reads from; null: none
--   consumer       as what it reads there; kept when it reads no more
--   epoch, tick_id, tick_tag   where it stands in its upstream's log; null: it reads from none
--   server_started when its server was started, the latest that was heard of
--   start_heard_at when that was heard first
--   twin_heard_at  when an earlier start was heard of although the later one was known: two servers have the node's
--                  identity, as after a copy of the cluster's files
--   heard_at       when it was heard
--   last_tick_id, last_tick_time   the last tick of its own log, of a provider, when heard_at was written; by its clock
--   untold_at      of a provider when it was heard then, by its clock, if it had taken changes that no tick of its log shows: a
--                  dead ticker, mostly; null: it had none
-- A row of the node's own id is another server that has this node's identity.
-- Users must not write to it.
create table trunkline.member (
    queue_name     text        not null,
    node_id        bigint      not null,
    name           text,
    number         int4,
    role           text        not null check (role in ('provider', 'fenced', 'standby', 'reader', 'copy')),
    term           bigint      not null,
    upstream       bigint,
    epoch          bigint,
    tick_id        bigint,
    tick_tag       bigint,
    server_started timestamptz not null,
    heard_at       timestamptz not null default now(),
    start_heard_at timestamptz not null default now(),
    since          timestamptz,
    twin_heard_at  timestamptz,
    client         text,
    consumer       text,
    last_tick_id   bigint,
    last_tick_time timestamptz,
    untold_at      timestamptz,
    primary key (queue_name, node_id),
    check (num_nulls(epoch, tick_id, tick_tag) in (0, 3))
);
revoke all on table trunkline.member from public;
