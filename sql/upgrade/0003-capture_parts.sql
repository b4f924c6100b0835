-- component: provider
-- Partitions, identities, and what a command writes into rows by itself: new columns, a table, and functions whose
-- arguments or results are others.
alter table trunkline.captured
    add column rewritten int4 not null default 0,
    add column refreshing bool not null default false,
    add column file_nodes text;
alter table trunkline.shape add column logged_txid bigint not null default txid_current();
alter table trunkline.shape add column after_txid bigint;
create index shape_table_idx on trunkline.shape (table_oid);
create table trunkline.captured_part (
    part_oid   oid   not null primary key,
    root_oid   oid   not null references trunkline.captured (table_oid) on delete cascade,
    parent_oid oid   not null,
    part       jsonb not null
);
create index captured_part_root_idx on trunkline.captured_part (root_oid);
drop function trunkline.add_table(text, text, text, text);
drop function trunkline.remove_table(text, text, text, text);
drop function trunkline.candidates(text);
drop function trunkline.refusal(oid);
