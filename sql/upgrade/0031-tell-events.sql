-- component: member
-- What has happened to a node is told to the programs beside it.
create table trunkline.event (
    event_id    bigint      not null generated always as identity primary key,
    queue_name  text        not null,
    event       text        not null check (event ~ '^[a-z][a-z0-9_]{0,62}$'),
    ok          boolean     not null,
    happened_at timestamptz not null default clock_timestamp(),
    term        bigint,
    details     text,
    other_node  bigint,
    told_at     timestamptz,
    tries       int4        not null default 0,
    error       text
);
create index event_of_queue on trunkline.event (queue_name, event_id);
create index event_untold on trunkline.event (queue_name, event_id) where told_at is null;
revoke all on table trunkline.event from public;
alter table trunkline.member add column client text;
