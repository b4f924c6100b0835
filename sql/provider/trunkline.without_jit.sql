-- Functions that read the catalog are not compiled: catalogs that were never analyzed look large to the planner, and
-- compiling a query cost a fifth of a second a command. The setting came with PostgreSQL 11.
do $do$
declare
    v_function regprocedure;
begin
    if current_setting('jit', true) is null then
        return;
    end if;
    foreach v_function in array array[
            'trunkline.on_ddl_command_end()', 'trunkline.on_sql_drop()', 'trunkline.on_table_rewrite()',
            'trunkline.upkeep(bool)', 'trunkline.capture_changed(oid,oid,text,text)', 'trunkline.candidates(text,text,text[])',
            'trunkline.add_table(text,text,text,text,text,text[])']::regprocedure[] loop
        execute format('alter function %s set jit = off', v_function);
    end loop;
end
$do$;
