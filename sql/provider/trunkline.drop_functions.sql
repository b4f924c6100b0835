-- Function trunkline.drop_functions(i_table oid): takes a table's functions of capture away, and with them
-- its triggers where they still are.
create or replace function trunkline.drop_functions(i_table oid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid from pg_proc p
         where p.pronamespace = 'trunkline'::regnamespace
           and p.proname in (select format(n.name, i_table) from unnest(array[
               'capture_%s_truncate', 'capture_%s_insert', 'capture_%s_update', 'capture_%s_delete', 'capture_%s_row', 'live_%s', 'ask_%s']) n (name))
         order by p.oid
    loop
        execute format('drop function %s cascade', v_function);
    end loop;
end
$$;
revoke all on function trunkline.drop_functions(oid) from public;
