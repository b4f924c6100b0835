-- Table trunkline.history: which node became the provider of a set, one row a promotion; the same on every node in the
-- end.
--
--   term       the reign that began; two rows of one term are two decisions of people
--   kind       first, switchover or failover
--   node_id, node_name   the node that became provider
--   old_epoch, old_tick_id, old_tick_tag   where the log of the provider before ended; null for the first
--   epoch, tick_id, tick_tag   where the new provider's log begins
-- Users must not write to it: positions are translated by it.
create table trunkline.history (
    queue_name   text        not null,
    term         bigint      not null,
    kind         text        not null check (kind in ('first', 'switchover', 'failover')),
    node_id      bigint      not null,
    node_name    text,
    old_epoch    bigint,
    old_tick_id  bigint,
    old_tick_tag bigint,
    epoch        bigint      not null,
    tick_id      bigint      not null,
    tick_tag     bigint      not null,
    began_at     timestamptz not null default now(),
    primary key (queue_name, term, node_id),
    check (num_nulls(old_epoch, old_tick_id, old_tick_tag) = case kind when 'first' then 3 else 0 end)
);
revoke all on table trunkline.history from public;
