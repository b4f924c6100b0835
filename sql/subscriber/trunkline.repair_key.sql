-- Table trunkline.repair_key: keys of a table whose rows are fetched from the provider before the table goes on
-- (trunkline.table_state.existing = 'keys').
--   key_text   the key as events have it
--   columns    the names of its columns, in its order
create table trunkline.repair_key (
    consumer    text   not null,
    schema_name text   not null,
    table_name  text   not null,
    key_text    text   not null,
    columns     text[] not null,
    foreign key (consumer, schema_name, table_name) references trunkline.table_state on delete cascade on update cascade
);
create index repair_key_of_table on trunkline.repair_key (consumer, schema_name, table_name);
