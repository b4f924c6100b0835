-- Table trunkline.member: the other nodes of a set, as this node has last heard of each.
--
--   node_id, name, number   who it is (trunkline.node)
--   role, term     what it said that it is
--   upstream       the node that it reads from; null: none
--   epoch, tick_id, tick_tag   where it stands in its upstream's log; null: it reads from none
--   server_started when its server was started: one node id with two of them is two servers
--   heard_at       when it was heard
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
    primary key (queue_name, node_id),
    check (num_nulls(epoch, tick_id, tick_tag) in (0, 3))
);
revoke all on table trunkline.member from public;
