-- Function trunkline.log_shape(i_queue_id, i_plan jsonb, i_shape_id, i_dropped bool): tells the queue what a table's rows
-- consist of from here on.
--
-- Arguments: i_shape_id null makes a new shape; else the stored one is told again, to a consumer that may have missed it.
-- Result: the shape's number. Tables: inserts into trunkline.shape and the queue's current event table.
-- Users must not call it: a shape that the functions do not write makes every later row of the table unreadable.
create or replace function trunkline.log_shape(i_queue_id int4, i_plan jsonb, i_shape_id bigint, i_dropped bool)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_id         bigint := i_shape_id;
    v_definition jsonb;
    v_prefix     text;
    v_sequence   text;
    v_txid       bigint := txid_current();
begin
    if v_id is null then
        v_id := nextval('trunkline.shape_id_seq');
        v_definition := jsonb_build_object('shape', v_id) || trunkline.shape_definition(i_plan);
        if i_dropped then
            v_definition := v_definition || jsonb_build_object('dropped', true);
        end if;
        insert into trunkline.shape (shape_id, queue_id, table_oid, definition)
        values (v_id, i_queue_id, (i_plan ->> 'oid')::oid, v_definition);
    else
        select s.definition into v_definition from trunkline.shape s where s.shape_id = v_id;
    end if;
    select q.queue_data_pfx || '_' || q.queue_cur_table, q.queue_event_seq into v_prefix, v_sequence
      from pgq.queue q where q.queue_id = i_queue_id;
    execute format('insert into %s (ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2) '
                   'values (nextval(%L), now(), $1, ''trunkline.1.shape'', $2, $3, $4)', v_prefix, v_sequence)
      using v_txid, v_definition::text,
            format('%I.%I', v_definition #>> '{table,schema}', v_definition #>> '{table,name}'), v_id::text;
    return v_id;
end
$$;
revoke all on function trunkline.log_shape(int4, jsonb, bigint, bool) from public;
