-- Table trunkline.shape: the shapes of captured tables that some event may still name; what their events say (sql/FORMAT.md).
--
--   logged_txid  the transaction that logged it
--   made_of      trunkline.column_facts at that time; null if the table was not captured before
--   after_txid   events of the table's older shapes are of transactions before this one; null if that is not known
-- Users must not write to it; trunkline.log_shape does. Numbers never come again.
create sequence trunkline.shape_id_seq;
create table trunkline.shape (
    shape_id   bigint      not null primary key,
    queue_id   int4        not null,
    table_oid  oid         not null,
    created_at timestamptz not null default now(),
    definition jsonb       not null,
    logged_txid bigint     not null default txid_current(),
    after_txid bigint,
    made_of    jsonb
);
create index shape_queue_idx on trunkline.shape (queue_id);
create index shape_table_idx on trunkline.shape (table_oid);
