-- Function trunkline.make_capture(i_queue_id, i_plan jsonb, i_shape_id): makes or replaces a table's capture functions.
--
-- Where the plan has no key columns there is nothing that could be logged: the functions then do nothing, and the
-- plan's problem says so to the consumers.
-- jit: statements keep the plan of their first call, and one that was planned for millions of rows is compiled at each
-- call from then on, which costs a quarter of a second a row. (LIMIT in the statements of one row costs four times the clause.)
-- Result: none. Tables: creates functions trunkline.capture_<oid>_<operation>; triggers are add_table's.
-- Users must not call it: the functions must write the shape that was logged last.
create or replace function trunkline.make_capture(i_queue_id int4, i_plan jsonb, i_shape_id bigint) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform trunkline.make_put(i_queue_id);
    perform trunkline.make_readers(i_plan);
    perform trunkline.make_trigger_functions(i_queue_id, i_plan, i_shape_id);
end
$$;
revoke all on function trunkline.make_capture(int4, jsonb, bigint) from public;

-- Function trunkline.make_trigger_functions(i_queue_id, i_plan jsonb, i_shape_id): makes or replaces the
-- functions of a table's capture triggers alone.
create or replace function trunkline.make_trigger_functions(i_queue_id int4, i_plan jsonb, i_shape_id bigint) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_operation text;
    v_name      text;
    v_jit       bool;
begin
    foreach v_operation in array case when trunkline.form_of(i_plan) = 'tree' then array['row', 'truncate']
                                      else array['insert', 'update', 'delete', 'truncate'] end loop
        v_name := format('trunkline.capture_%s_%s()', i_plan ->> 'oid', v_operation);
        -- No plan of a trigger for one row is made for millions, and the clause is a twentieth of what it costs.
        v_jit := current_setting('jit', true) is not null and (v_operation = 'truncate' or i_plan ->> 'form' is distinct from 'rows');
        perform trunkline.make_function(v_name,
            format(E'create or replace function %s returns trigger\nlanguage plpgsql volatile security definer\nset search_path = pg_catalog, pg_temp%s%s\n',
                   v_name, case when v_jit then E'\nset jit = off' else '' end, trunkline.capture_pins(i_plan, 'clauses')),
            case when jsonb_typeof(i_plan -> 'keys') = 'array' or i_plan ->> 'identity' <> 'key' or v_operation = 'truncate'
                 then trunkline.capture_source(v_operation, i_queue_id, i_plan, i_shape_id)
                 else 'begin return null; end' end,
            array['search_path=pg_catalog, pg_temp'] || case when v_jit then array['jit=off'] end
            || string_to_array(ltrim(trunkline.capture_pins(i_plan, 'config'), E'\n'), E'\n'));
    end loop;
end
$$;
revoke all on function trunkline.make_trigger_functions(int4, jsonb, bigint) from public;
