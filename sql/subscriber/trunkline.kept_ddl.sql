-- Table trunkline.kept_ddl: indexes and constraints of the subscriber that a copy has taken
-- away, with the statements that bring them back.
--
-- A row is written in the transaction that drops the object, and deleted in the one that
-- brings back the last of it, so a crash never loses one. `replay restore-ddl` brings back
-- by hand what is here. Nothing but replay writes here: what stands here is run.
--
--   schema_name, table_name  the table whose copy took it away
--   kind       index, constraint, or foreign key (of any table, that refers to this one)
--   on_schema, on_table      the table that it stands on
--   bytes      its size when it was dropped: the largest is built first
--   build      statements that build it, one transaction for it alone; '{}': built
--   attach     statements to be run when all of the table is built; '{}': done
--   validate   statements to be run when both tables of a foreign key are in; else null
--   error      why it could not be brought back last time

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
