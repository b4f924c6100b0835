-- Table trunkline.shape: every shape that a captured table ever had; what its event says (sql/FORMAT.md).
-- Users must not write to it; trunkline.log_shape does. Numbers never come again.
create sequence trunkline.shape_id_seq;
create table trunkline.shape (
    shape_id   bigint      not null primary key,
    queue_id   int4        not null,
    table_oid  oid         not null,
    created_at timestamptz not null default now(),
    definition jsonb       not null
);
create index shape_queue_idx on trunkline.shape (queue_id);
