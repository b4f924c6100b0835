-- component: base
-- Scripts of DDL are recorded where they were executed.
create table trunkline.script (
    number      bigserial   primary key,
    script_id   text        not null,
    digest      text        not null,
    body        text        not null,
    state       text        not null
        check (state in ('done', 'ignored', 'skipped', 'failed', 'waiting', 'wanted')),
    queue       text        not null,
    consumer    text        not null default '',
    is_passed   boolean     not null default false,
    tick_id     bigint,
    tables      jsonb       not null default '[]',
    made        jsonb       not null default '[]',
    error       text,
    advice      text,
    executed_by text        not null default session_user,
    told_by     text,
    noted_at    timestamptz not null default clock_timestamp(),
    changed_at  timestamptz not null default clock_timestamp(),
    unique (consumer, script_id, digest),
    check ((error is null) = (advice is null) and (state <> 'failed' or error is not null))
);
create index script_open on trunkline.script (consumer) where state in ('failed', 'waiting', 'wanted');
revoke all on table trunkline.script from public;
create table trunkline.script_log (
    queue       text        not null,
    script_id   text        not null,
    digest      text        not null,
    txid        bigint      not null default txid_current(),
    tick_id     bigint,
    tables      jsonb       not null,
    primary key (queue, script_id, digest)
);
revoke all on table trunkline.script_log from public;
