-- Function trunkline.is_copy(): whether this database is not the one that its row of trunkline.node was made in: it was
-- restored elsewhere, or made by CREATE DATABASE ... TEMPLATE, or by pg_upgrade. Such a node is none of its sets' until
-- somebody has said what it is (trunkline.keep_identity). A copy of the cluster's files is not seen here: it has the
-- same numbers. Tables: reads trunkline.node.
create or replace function trunkline.is_copy() returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select from trunkline.node n, pg_control_system() c, pg_database d
         where d.datname = current_database()
           and (n.system_identifier <> c.system_identifier or n.database_oid <> d.oid));
end
$$;
revoke all on function trunkline.is_copy() from public;

-- Function trunkline.keep_identity(): says that this database is the node that it was, after pg_upgrade, or after a
-- restore elsewhere where the one before is gone for ever. Two databases of one identity are two providers.
-- Result: whether it was a copy. Tables: writes trunkline.node. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.keep_identity() returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if not trunkline.is_copy() then
        return false;
    end if;
    update trunkline.node n
       set system_identifier = (select c.system_identifier from pg_control_system() c),
           database_oid = (select d.oid from pg_database d where d.datname = current_database());
    return true;
end
$$;
revoke all on function trunkline.keep_identity() from public;
