-- Table trunkline.skipped_change: changes of the provider that an operator has dropped.
--
-- One row a change, made by `replay skip` and kept for good: it says who dropped what, and
-- it is what makes a table's own task leave the change out, however often its batch is read.
-- Nobody else writes here. A row of it may be confidential (row_key), so only the owner of the
-- schema reads it.
--
--   epoch, event_id   the event in the queue; event ids never come twice within an epoch
--   row_number        the row within the event, from 1 on; 0: all of the event
--   kind              insert, update, delete, live, gone, plus, minus or truncate
--   row_key           the key of the row as record text, cut at 4,000 characters
--   error             what the subscriber said to it
--   tick_id           the tick that the table stood at
--   skipped_by        the role of the session; told_by: the login of its client's system, as told

create table trunkline.skipped_change (
    skip_id       bigserial   primary key,
    consumer      text        not null,
    provider_oid  oid         not null,
    schema_name   text        not null,
    table_name    text        not null,
    epoch         bigint      not null,
    event_id      bigint      not null,
    row_number    integer     not null check (row_number >= 0),
    kind          text        not null,
    row_key       text,
    error         text        not null,
    tick_id       bigint      not null,
    skipped_by    text        not null default session_user,
    told_by       text,
    skipped_at    timestamptz not null default now(),
    unique (consumer, provider_oid, epoch, event_id, row_number)
);
