-- Table trunkline.lost_change: the changes of a stretch of a log that a later provider never had (trunkline.lost), in their
-- order. They are business data: for the schema's owner only. Nothing applies them by itself.
--
--   number     their order
--   table_oid, schema_name, table_name   the table in the database whose log it is
--   change     what the event says (docs/ha.md has the list)
--   key_text   the key as the log has it; null: the table has none, or the change is of no row
--   key_columns   the names of its columns, in its order
--   key        the same as an object: the values' texts by the columns' names
--   row_now    the row after the change; null: it is gone, or not told
create table trunkline.lost_change (
    queue_name  text   not null,
    epoch       bigint not null,
    tick_id     bigint not null,
    number      bigint not null,
    table_oid   oid    not null,
    schema_name text   not null,
    table_name  text   not null,
    change      text   not null,
    key_text    text,
    key_columns text[],
    key         jsonb,
    row_now     jsonb,
    primary key (queue_name, epoch, tick_id, number),
    foreign key (queue_name, epoch, tick_id) references trunkline.lost on delete cascade
);
revoke all on table trunkline.lost_change from public;
