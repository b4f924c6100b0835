-- Table trunkline.border_table: where this node became the provider, which of its tables was which one in the logs that replay
-- applied here before. Who comes from such a log finds its tables by it (trunkline.heirs).
--
--   epoch, log_oid   the log, and the table's oid in it
--   table_oid        the table here
--   logged_from      the places from which on this node's log has all of the table's changes: [[epoch, tick, tag], ...]
-- A promotion replaces the rows of the one before. Users must not write to it.
create table trunkline.border_table (
    queue_id    int4   not null references pgq.queue (queue_id) on delete cascade,
    epoch       bigint not null,
    log_oid     oid    not null,
    table_oid   oid    not null,
    logged_from jsonb  not null,
    primary key (queue_id, epoch, log_oid)
);
