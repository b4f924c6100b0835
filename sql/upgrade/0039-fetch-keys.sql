-- component: subscriber
-- The rows of some keys of a table are fetched from the provider, where only these differ.
alter table trunkline.table_state drop constraint table_state_existing_check;
alter table trunkline.table_state
    add constraint table_state_existing_check check (existing in ('refuse', 'truncate', 'trust', 'keep', 'swap', 'keys'));
create table trunkline.repair_key (
    consumer    text   not null,
    schema_name text   not null,
    table_name  text   not null,
    key_text    text   not null,
    columns     text[] not null,
    foreign key (consumer, schema_name, table_name) references trunkline.table_state on delete cascade on update cascade
);
create index repair_key_of_table on trunkline.repair_key (consumer, schema_name, table_name);
