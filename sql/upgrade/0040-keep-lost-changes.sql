-- component: member
-- What a provider of the past has taken after the place where a later one has begun is kept for a person.
drop function if exists trunkline.successor(text);
create table trunkline.lost (
    queue_name text        not null,
    node_id    bigint      not null,
    node_name  text,
    epoch      bigint      not null,
    tick_id    bigint      not null,
    tick_tag   bigint      not null,
    upto_id    bigint      not null,
    upto_tag   bigint      not null,
    term       bigint      not null,
    whole      boolean     not null,
    tables     jsonb       not null default '{}',
    file       text,
    found_at   timestamptz not null default clock_timestamp(),
    sent_at    timestamptz,
    handled_at timestamptz,
    handled_by text,
    handled_as jsonb,
    primary key (queue_name, epoch, tick_id)
);
revoke all on table trunkline.lost from public;
create table trunkline.lost_change (
    queue_name  text   not null,
    epoch       bigint not null,
    tick_id     bigint not null,
    number      bigint not null,
    table_oid   oid    not null,
    schema_name text   not null,
    table_name  text   not null,
    change      text   not null,
    key_text    text,
    key_columns text[],
    key         jsonb,
    row_now     jsonb,
    primary key (queue_name, epoch, tick_id, number),
    foreign key (queue_name, epoch, tick_id) references trunkline.lost on delete cascade
);
revoke all on table trunkline.lost_change from public;
