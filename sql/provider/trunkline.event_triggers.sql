-- Event triggers trunkline_ddl_command_end, trunkline_sql_drop and trunkline_table_rewrite, where the
-- installing role may make them (a superuser).
-- ENABLE ALWAYS: a schema change counts in every session, whatever its session_replication_role.
-- Elsewhere there are none, and trunkline.capture_mode() says so.
-- Commands that cannot change a captured table are not listed. CREATE TABLE is, and CREATE SCHEMA, which may
-- hold one: a child takes rows that no trigger of ours sees; and CREATE INDEX, which may give a table the key
-- that it lacks.
do $do$
begin
    if not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user) then
        return;
    end if;
    drop event trigger if exists trunkline_ddl_command_end;
    drop event trigger if exists trunkline_sql_drop;
    drop event trigger if exists trunkline_table_rewrite;
    create event trigger trunkline_ddl_command_end on ddl_command_end
        when tag in ('ALTER TABLE', 'ALTER INDEX', 'ALTER VIEW', 'ALTER FOREIGN TABLE', 'ALTER SEQUENCE',
                     'ALTER MATERIALIZED VIEW', 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER SCHEMA', 'ALTER EXTENSION',
                     'ALTER COLLATION', 'ALTER TRIGGER', 'CREATE TABLE', 'CREATE FOREIGN TABLE', 'CREATE SCHEMA', 'ALTER POLICY', 'CREATE POLICY',
                     'CREATE INDEX', 'ALTER OPERATOR', 'ALTER OPERATOR FAMILY', 'CREATE OPERATOR CLASS')
        execute procedure trunkline.on_ddl_command_end();
    create event trigger trunkline_sql_drop on sql_drop
        execute procedure trunkline.on_sql_drop();
    create event trigger trunkline_table_rewrite on table_rewrite
        execute procedure trunkline.on_table_rewrite();
    alter event trigger trunkline_ddl_command_end enable always;
    alter event trigger trunkline_sql_drop enable always;
    alter event trigger trunkline_table_rewrite enable always;
end
$do$;
