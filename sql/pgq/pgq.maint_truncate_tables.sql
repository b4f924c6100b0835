-- pgq.maint_truncate_tables(i_queue_name): empties one more event table whose events are proven to be consumed, beside the
-- one that rotation takes next. After a hold has ended, its space comes back at once and not one table a rotation.
-- Result: 1 a table was emptied, there may be more: call it again; 0 done. Errors: not READ COMMITTED.
-- Tables touched: as pgq._truncate_event_table.
create or replace function pgq.maint_truncate_tables(i_queue_name text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_id    int4;
    v_spare int4[];
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'rotation needs a READ COMMITTED transaction' using errcode = '25001';
    end if;
    v_id := (select q.queue_id from pgq.queue q where q.queue_name = i_queue_name);
    v_spare := array(select s.number from pgq._spare_tables(v_id) s where s.is_full order by s.last_txid nulls first);
    -- The youngest stays, as it does where rotation has three tables: until then consumers can be moved back.
    for i in 1 .. coalesce(array_upper(v_spare, 1), 0) - 1 loop
        if pgq._truncate_event_table(v_id, v_spare[i]) then
            return 1;
        end if;
    end loop;
    return 0;
end
$$;
