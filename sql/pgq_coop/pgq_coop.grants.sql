-- Rights in schema pgq_coop: pgq_reader consumes; everybody may ask for the version. Run last.
-- Tables touched: grants on the functions of the schema.
do $$
declare
    v_function regprocedure;
begin
    for v_function in select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'pgq_coop'::regnamespace loop
        execute pg_catalog.format('revoke all on function %s from public, pgq_reader', v_function);
        if (select p.proname !~ '^_' from pg_catalog.pg_proc p where p.oid = v_function) then
            execute pg_catalog.format('grant execute on function %s to pgq_reader', v_function);
        end if;
    end loop;
end
$$;
grant execute on function pgq_coop.version() to public;
