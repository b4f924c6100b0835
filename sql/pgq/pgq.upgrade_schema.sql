-- pgq.upgrade_schema(): brings the schema's own helpers level: makes roles that are missing, and the functions that
-- insert_event() consists of, which a dump of an extension leaves out. An install upgrades the rest.
-- Result: how many roles were made. Tables touched: reads queue; creates roles and functions.
create or replace function pgq.upgrade_schema() returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_role text;
    v_made int4 := 0;
begin
    foreach v_role in array array['pgq_reader', 'pgq_writer', 'pgq_admin'] loop
        if to_regrole(v_role) is null then
            execute format('create role %I', v_role);
            v_made := v_made + 1;
        end if;
    end loop;
    if v_made > 0 then
        grant pgq_reader, pgq_writer to pgq_admin;
    end if;
    perform pgq._make_insert(q.queue_id) from pgq.queue q order by q.queue_id;
    perform pgq._make_insert_event();
    return v_made;
end
$$;
