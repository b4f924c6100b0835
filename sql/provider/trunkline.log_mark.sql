-- Function trunkline.log_mark(i_shape_id, i_kind, i_data json): tells the queue something of a captured table
-- that is no row: an event trunkline.1.mark (sql/FORMAT.md).
--
-- Arguments: i_shape_id the shape that its rows have now; i_kind resync, emptied, filled, digest, own or ignored.
-- Result: none. Tables: reads trunkline.captured and trunkline.shape; logs an event.
-- Users must not call it: consumers change or give up their rows for it.
create or replace function trunkline.log_mark(i_shape_id bigint, i_kind text, i_data json) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
as $$
declare
    v_name  text;
    v_queue int4;
begin
    select format('%I.%I', s.definition #>> '{table,schema}', s.definition #>> '{table,name}'), s.queue_id
      into v_name, v_queue
      from trunkline.shape s where s.shape_id = i_shape_id;
    execute format('select trunkline.put_%s($1, $2, $3, $4, $5)', v_queue)
      using 'trunkline.1.mark', v_name, i_shape_id::text, i_kind, i_data::text;
end
$$;
revoke all on function trunkline.log_mark(bigint, text, json) from public;
