-- Function trunkline.plain_columns(i_definition jsonb): number, name and type of the columns of a shape.
create or replace function trunkline.plain_columns(i_definition jsonb) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_agg(jsonb_build_object('attnum', c.col -> 'attnum', 'name', c.col -> 'name', 'type', c.col -> 'type')
                              order by c.place), '[]')
      from jsonb_array_elements(i_definition -> 'columns') with ordinality c (col, place);
$$;
revoke all on function trunkline.plain_columns(jsonb) from public;

-- Function trunkline.log_shape(i_queue_id, i_plan jsonb, i_shape_id, i_dropped bool): tells the queue what a table's rows
-- consist of from here on.
--
-- Arguments: i_shape_id null makes a new shape; else the stored one is told again, to a consumer that may have missed it.
-- A new shape of a captured table whose columns are others than before says in its event, and nowhere else, which
-- shape it takes the place of, with its columns, and of what its own columns are made. So who is told a shape again
-- does not change a table for it.
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
    v_event      jsonb;
    v_before     trunkline.shape;
    v_made_of    jsonb;
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
        v_event := v_definition;
        perform from trunkline.captured c
          where c.table_oid = (i_plan ->> 'oid')::oid and c.queue_id = i_queue_id and c.dropped_at is null and not i_dropped;
        if found then
            -- An aggregate: for the first one in the order of numbers the server may read the shapes of all tables.
            v_before := (select (array_agg(s order by s.shape_id desc))[1] from trunkline.shape s
                          where s.table_oid = (i_plan ->> 'oid')::oid and s.queue_id = i_queue_id);
        end if;
        if v_before.shape_id is not null then
            v_made_of := trunkline.column_facts((i_plan ->> 'oid')::oid, i_plan ->> 'fingerprint' is null);
            if trunkline.plain_columns(v_before.definition) <> trunkline.plain_columns(v_definition) then
                v_event := v_event || jsonb_build_object('made_of', v_made_of, 'was', jsonb_build_object(
                    'shape', v_before.shape_id, 'columns', trunkline.plain_columns(v_before.definition)));
            end if;
        end if;
        insert into trunkline.shape (shape_id, queue_id, table_oid, definition, made_of)
        values (v_id, i_queue_id, (i_plan ->> 'oid')::oid, v_definition, v_made_of);
    else
        select s.definition into v_event from trunkline.shape s where s.shape_id = v_id;
    end if;
    select q.queue_data_pfx || '_' || q.queue_cur_table, q.queue_event_seq into v_prefix, v_sequence
      from pgq.queue q where q.queue_id = i_queue_id;
    execute format('insert into %s (ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2) '
                   'values (nextval(%L), now(), $1, ''trunkline.1.shape'', $2, $3, $4)', v_prefix, v_sequence)
      using v_txid, v_event::text,
            format('%I.%I', v_event #>> '{table,schema}', v_event #>> '{table,name}'), v_id::text;
    return v_id;
end
$$;
revoke all on function trunkline.log_shape(int4, jsonb, bigint, bool) from public;
