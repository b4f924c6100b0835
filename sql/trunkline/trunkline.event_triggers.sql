-- Event triggers trunkline_ddl_command_end and trunkline_sql_drop, where the installing role may make them (a superuser).
-- ENABLE ALWAYS: a schema change counts in every session, whatever its session_replication_role.
-- Elsewhere there are none, trunkline.capture_mode() says so, and a captured table must be removed before a schema change.
-- Commands that cannot change a captured table are not listed. CREATE TABLE is: a child takes rows that no trigger of ours sees.
do $do$
begin
    if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
        return;
    end if;
    drop event trigger if exists trunkline_ddl_command_end;
    drop event trigger if exists trunkline_sql_drop;
    create event trigger trunkline_ddl_command_end on ddl_command_end
        when tag in ('ALTER TABLE', 'ALTER INDEX', 'ALTER VIEW', 'ALTER FOREIGN TABLE', 'ALTER SEQUENCE',
                     'ALTER MATERIALIZED VIEW', 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER SCHEMA', 'ALTER EXTENSION',
                     'ALTER COLLATION', 'ALTER TRIGGER', 'CREATE TABLE', 'ALTER POLICY', 'CREATE POLICY')
        execute procedure trunkline.on_ddl_command_end();
    create event trigger trunkline_sql_drop on sql_drop
        execute procedure trunkline.on_sql_drop();
    alter event trigger trunkline_ddl_command_end enable always;
    alter event trigger trunkline_sql_drop enable always;
end
$do$;
