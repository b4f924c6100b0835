-- component: subscriber
-- Which ticks a node has stood at, and since when its log has a table's changes by its own transactions.
create table trunkline.applied_tick (
    consumer    text        not null,
    epoch       bigint      not null,
    tick_id     bigint      not null,
    tick_tag    bigint      not null,
    applied_at  timestamptz not null default now(),
    primary key (consumer, epoch, tick_id)
);
alter table trunkline.table_state
    add column logged_txid bigint,
    add column origins_txid bigint;
create index table_state_logged on trunkline.table_state (consumer) where logged_from is not null;
-- What was noted without its moment is asked for again.
update trunkline.table_state set origin_oids = null where origin_oids is not null;
-- What is marked already counts from now on.
update trunkline.table_state set logged_txid = txid_current() where logged_from is not null;
