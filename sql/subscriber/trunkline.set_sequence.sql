-- Function trunkline.set_sequence(i_consumer, i_schema, i_name, i_value, i_is_called, i_step, i_ahead)
--
-- Brings a sequence of the subscriber up with the provider's. An error of the sequence
-- itself (missing, out of its bounds, no right) is stored and returned, so that it does
-- not take a batch with it.
--
-- Arguments: i_value and i_is_called as the provider's sequence holds them, i_step its
-- increment; i_ahead, how many steps ahead of that to keep it: 0 sets it exactly, and exact it then stays
-- until the provider has another value, whoever asks: a daemon that starts must not undo it. Otherwise
-- it is set only when it is not between half of that and all of it, so not at every call. It takes
-- no more than half of the values that are left up to its bound, so that near its end it is
-- exact. A sequence that cycles, or that was not called yet, is set exactly.
--
-- Result: null if it stands right, else the error.
-- Tables: writes the sequence and trunkline.sequence_state.
-- Users must not call it: it takes no care whether the value goes back.

create or replace function trunkline.set_sequence(
    i_consumer text,
    i_schema text,
    i_name text,
    i_value bigint,
    i_is_called boolean,
    i_step bigint,
    i_ahead integer)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_error   text;
    v_oid     oid;
    v_counts  pg_sequence;
    v_ahead   numeric := 0;
    v_now     bigint;
    v_exact   bool;
begin
    -- A node that has become the provider does not carry it over any more: its value is not to be touched.
    perform from trunkline.sequence_state s
      where s.consumer = i_consumer and s.schema_name = i_schema and s.sequence_name = i_name for no key update;
    if not found then
        return null;
    end if;
    update trunkline.sequence_state s
       set exact_value = case when i_ahead = 0 then i_value end, exact_called = case when i_ahead = 0 then i_is_called end
     where s.consumer = i_consumer and s.schema_name = i_schema and s.sequence_name = i_name
       and (i_ahead = 0 or s.exact_value <> i_value or s.exact_called <> i_is_called);
    v_exact := exists (
        select from trunkline.sequence_state s
         where s.consumer = i_consumer and s.schema_name = i_schema and s.sequence_name = i_name and s.exact_value is not null);
    begin
        v_oid := format('%I.%I', i_schema, i_name)::regclass;
        select s.* into v_counts from pg_sequence s where s.seqrelid = v_oid;
        if i_is_called and not v_counts.seqcycle then
            -- In numeric: the bounds are those of bigint.
            v_ahead := greatest(0, least(i_ahead, div(
                case when i_step > 0 then v_counts.seqmax::numeric - i_value else i_value::numeric - v_counts.seqmin end,
                2 * abs(i_step::numeric))));
            if v_ahead > 0 and has_sequence_privilege(v_oid, 'select') then
                v_now := pg_sequence_last_value(v_oid);
            end if;
        end if;
        if v_exact then
            v_ahead := 0;
        end if;
        if v_now is null
           or (v_now::numeric - i_value) / i_step < 0
           or (not v_exact and (v_now::numeric - i_value) / i_step not between div(v_ahead + 1, 2) and v_ahead) then
            perform setval(v_oid::regclass, (i_value + v_ahead * i_step)::bigint, i_is_called);
        end if;
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

revoke all on function trunkline.set_sequence(text, text, text, bigint, boolean, bigint, integer) from public;
