-- Schema trunkline: everything of ours that is not the queue.
-- Tables touched: none. Users must not: create objects of their own in it; an uninstall drops it whole.
create schema trunkline;
comment on schema trunkline is 'Trunkline: logical replication by triggers and a queue';
grant usage on schema trunkline to public;
