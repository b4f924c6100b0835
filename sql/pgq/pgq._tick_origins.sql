-- pgq._tick_origins(i_queue_name): what a tick of the queue contains of other nodes' queues. For pgq._insert_tick()
-- only.
-- Result: one row: origins and path, as pgq.tick stores them (tick_origins, tick_path); nulls where nothing but the
-- applications of this database writes the queue's tables.
-- STABLE: it sees what the calling statement's snapshot sees. That statement takes the tick's snapshot, so the tick
-- claims neither more nor less than it shows.
-- The answer is trunkline.log_origins's, which replay brings with it. It is called only where its owner may act as
-- the owner of this function anyway: whoever may create schemas could else have a trunkline of his own called.
-- Tables touched: reads the catalog, and what trunkline.log_origins reads. Users must not: nothing to fear.
create or replace function pgq._tick_origins(i_queue_name text, out origins jsonb, out path bigint[]) returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (
        -- By the catalog: to_regprocedure() fails where the schema is another's that may not be looked into.
        select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname = 'trunkline' and p.proname = 'log_origins' and p.proargtypes[0] = 'text'::regtype and p.pronargs = 1
           and p.prosecdef and has_function_privilege(p.oid, 'EXECUTE')
           and case when current_setting('server_version_num')::int4 >= 160000
                    then pg_has_role(p.proowner, current_user, 'SET') or pg_has_role(p.proowner, current_user, 'USAGE')
                    else pg_has_role(p.proowner, current_user, 'MEMBER') end) then
        return;
    end if;
    select o.origins, o.path into origins, path from trunkline.log_origins(i_queue_name) o;
end
$$;
