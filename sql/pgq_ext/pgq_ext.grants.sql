-- Rights in schema pgq_ext: who consumes notes what it has done (pgq_reader, pgq_writer); everybody may ask for the version;
-- nobody writes to a table. Run last. Tables touched: grants on the functions and tables of the schema.
do $$
declare
    v_function regprocedure;
begin
    for v_function in select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'pgq_ext'::regnamespace loop
        execute pg_catalog.format('revoke all on function %s from public, pgq_reader, pgq_writer', v_function);
        execute pg_catalog.format('grant execute on function %s to pgq_reader, pgq_writer', v_function);
    end loop;
end
$$;
grant execute on function pgq_ext.version() to public;
revoke all on function pgq_ext.upgrade_schema() from pgq_reader, pgq_writer;
grant execute on function pgq_ext.upgrade_schema() to pgq_admin;
revoke all on pgq_ext.completed_batch, pgq_ext.completed_event, pgq_ext.partial_batch, pgq_ext.completed_tick from public;
grant select on pgq_ext.completed_batch, pgq_ext.completed_event, pgq_ext.partial_batch, pgq_ext.completed_tick
   to pgq_reader, pgq_writer;
