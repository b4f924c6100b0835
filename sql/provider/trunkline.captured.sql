-- Table trunkline.captured: the tables whose changes are logged, by oid, so that a renamed table stays the same one.
--
--   queue_id    where its events go; a queue with captured tables cannot be dropped, so that no writer ever
--               meets a missing event table
--   schema_name, table_name   as its events name it
--   shape_id    the shape of the rows that its functions write
--   consumers   who wants it; the last one to leave takes the triggers away. '*': the set, whose next provider this may be
--   plan        what the functions were made from (trunkline.capture_plan); compared to find changes
--   rewritten   what the command at hand has written into the rows by itself: bits of pg_event_trigger_table_rewrite_reason()
--   refreshing  its triggers are being made anew by this transaction: not somebody's theft
--   file_nodes  the files of its rows (trunkline.file_nodes) when it was last looked at; a rewrite changes them
--   problem     why its changes cannot be replicated from here on; null if all is well
--   writers     consumers of trunkline.position whose replay writes the table here. Where there is one, the triggers
--               are ENABLE ALWAYS: what replay writes is then logged as well (trunkline.set_writers)
--   since_txid  the transaction since which it is captured without a gap
--   dropped_at  when the table was dropped; the row stays until the consumers have left
-- Users must not write to it; add_table and remove_table do.
create table trunkline.captured (
    table_oid   oid         not null primary key,
    queue_id    int4        not null references pgq.queue (queue_id),
    schema_name text        not null,
    table_name  text        not null,
    shape_id    bigint      not null,
    consumers   text[]      not null,
    plan        jsonb       not null,
    problem     text,
    created_at  timestamptz not null default now(),
    dropped_at  timestamptz,
    rewritten   int4        not null default 0,
    refreshing  bool        not null default false,
    file_nodes  text,
    writers     text[]      not null default '{}',
    since_txid  bigint      not null default txid_current()
);
-- Whether a queue carries what replay writes is asked at each tick.
create index captured_writers_idx on trunkline.captured (queue_id) where writers <> '{}';
