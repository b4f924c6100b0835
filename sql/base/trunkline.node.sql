-- trunkline.node: who this database is. One row, made by the first install of a provider or a subscriber.
-- No row means that the schema came with a dump of another node.
--
--   name, number       what operators and programs beside Trunkline call this node; null: nobody has said
--   system_identifier, database_oid   the cluster and the database that the row was made in. Where they are others
--                      now, this is a copy that was restored elsewhere, or a cluster that pg_upgrade made
--                      (trunkline.is_copy)
--   read_only_before   default_transaction_read_only of the database before a fence switched it on, '' if it had no
--                      such setting; null: no fence has switched it on (trunkline.follow_read_only)
--   client             how clients reach this node, a connection string; null: nobody has said
--   priority           which of several standbys that are equally far becomes the provider at a failover: the highest; 0: this
--                      one never does; null: nobody has said, which is 100
-- Users must not: change it or copy it to another database.
create table trunkline.node (
    node_id           bigint      not null primary key,
    created_at        timestamptz not null default current_timestamp,
    name              text,
    number            int4,
    system_identifier bigint      not null,
    database_oid      oid         not null,
    read_only_before  text,
    client            text,
    priority          int4
);
create unique index node_only_one on trunkline.node ((true));
revoke all on table trunkline.node from public;
grant select on table trunkline.node to public;
