-- component: base
-- A node knows its name, and the cluster and database that its row belongs to.
alter table trunkline.node add column name text, add column number int4, add column system_identifier bigint,
    add column database_oid oid, add column read_only_before text;
update trunkline.node
   set system_identifier = (select c.system_identifier from pg_catalog.pg_control_system() c),
       database_oid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database());
alter table trunkline.node alter column system_identifier set not null, alter column database_oid set not null;
