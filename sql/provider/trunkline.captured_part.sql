-- Table trunkline.captured_part: the tables below a captured partitioned table, at every level; each carries its triggers.
--
--   parent_oid   the level above it
--   part         as trunkline.part_facts gives it: what is gone when the part is dropped, which is known only as long as
--                the part is there
-- Users must not write to it; trunkline.refresh_parts does.
create table trunkline.captured_part (
    part_oid   oid   not null primary key,
    root_oid   oid   not null references trunkline.captured (table_oid) on delete cascade,
    parent_oid oid   not null,
    part       jsonb not null
);
create index captured_part_root_idx on trunkline.captured_part (root_oid);
