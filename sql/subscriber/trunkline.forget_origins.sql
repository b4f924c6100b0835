-- Function trunkline.forget_origins(i_consumer, i_oid): forgets the oids that a table of the provider has in the logs further
-- up: its rows are those of other tables from now on. Who follows the table from this database forgets them, too. For
-- replay, in the transaction that applies what its provider says of it (sql/FORMAT.md, mark own).
-- Result: none. Tables: writes table_state; logs an event if the table is captured here.
-- Users must not call it.
create or replace function trunkline.forget_origins(i_consumer text, i_oid oid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_target oid;
begin
    update trunkline.table_state s set origin_oids = null, origins_txid = null
     where s.consumer = i_consumer and s.provider_oid = i_oid and s.origin_oids is not null
    returning s.target_oid into v_target;
    -- Capture may be missing, or older than replay.
    if v_target is not null and to_regprocedure('trunkline.log_own(text, oid)') is not null then
        perform trunkline.log_own(i_consumer, v_target);
    end if;
end
$$;
revoke all on function trunkline.forget_origins(text, oid) from public;
