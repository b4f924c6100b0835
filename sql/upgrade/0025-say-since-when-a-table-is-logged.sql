-- component: provider
-- Who comes from another log must know since when a table's changes are in this one: what is captured already counts from now on.
alter table trunkline.captured add column since_txid bigint not null default txid_current();
