-- Function trunkline.set_sequence(i_consumer, i_schema, i_name, i_value, i_is_called)
--
-- Sets a sequence of the subscriber to the provider's value. An error of the sequence
-- itself (missing, out of its bounds, no right) is stored and returned, so that it does
-- not take a batch with it.
--
-- Result: null if it was set, else the error.
-- Tables: writes the sequence and trunkline.sequence_state.
-- Users must not call it: it takes no care whether the value goes back.

create or replace function trunkline.set_sequence(
    i_consumer text,
    i_schema text,
    i_name text,
    i_value bigint,
    i_is_called boolean)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_error text;
begin
    begin
        perform setval(format('%I.%I', i_schema, i_name)::regclass, i_value, i_is_called);
    exception when undefined_table or invalid_schema_name or wrong_object_type
                or numeric_value_out_of_range or insufficient_privilege then
        v_error := sqlerrm;
    end;
    update trunkline.sequence_state s
       set error = v_error
     where s.consumer = i_consumer and s.schema_name = i_schema and s.sequence_name = i_name
       and s.error is distinct from v_error;
    return v_error;
end;
$$;

revoke all on function trunkline.set_sequence(text, text, text, bigint, boolean) from public;
