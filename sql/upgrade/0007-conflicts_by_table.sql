-- component: subscriber
-- A table may have a choice of its own for conflicts, be tried at once, and have changes skipped.
alter table trunkline.table_state
    add column on_conflict text check (on_conflict in ('overwrite', 'stop')),
    add column try_now boolean not null default false;
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
