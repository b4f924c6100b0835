-- trunkline.node: who this database is. One row, made by the first install of a provider or a subscriber.
-- No row means that the schema came with a dump of another node.
-- Users must not: change it or copy it to another database.
create table trunkline.node (
    node_id    bigint      not null primary key,
    created_at timestamptz not null default current_timestamp
);
create unique index node_only_one on trunkline.node ((true));
revoke all on table trunkline.node from public;
grant select on table trunkline.node to public;
