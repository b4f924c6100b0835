-- component: subscriber
-- A copy loads a table in parts, by several sessions, without its indexes.
create table trunkline.copied_range (
    consumer     text    not null,
    schema_name  text    not null,
    table_name   text    not null,
    range_no     integer not null,
    primary key (consumer, schema_name, table_name, range_no)
);
create table trunkline.kept_ddl (
    kept_id      bigserial   primary key,
    consumer     text        not null,
    schema_name  text        not null,
    table_name   text        not null,
    kind         text        not null check (kind in ('index', 'constraint', 'foreign key')),
    name         text        not null,
    on_schema    text        not null,
    on_table     text        not null,
    bytes        bigint      not null,
    build        text[]      not null,
    attach       text[]      not null,
    validate     text[],
    error        text,
    kept_at      timestamptz not null default now()
);
alter table trunkline.table_state
    add column copied_tick_id bigint,
    add column copied_tick_tag bigint,
    add column copy_attempt bigint not null default 0,
    add column loading boolean not null default false,
    drop constraint table_state_existing_check,
    add constraint table_state_existing_check check (existing in ('refuse', 'truncate', 'trust', 'keep', 'swap'));
-- What was copied and has not met the batch loop lacks the proof that it is of this provider: it is copied again.
update trunkline.table_state
   set state = '-', existing = 'truncate', tick_id = null, tick_tag = null, copied_snapshot = null, error = null, advice = null
 where copied_snapshot is not null;
alter table trunkline.table_state
    add check ((copied_snapshot is null) = (copied_tick_id is null)),
    add check ((copied_tick_id is null) = (copied_tick_tag is null));
