-- Function trunkline.filter_type(i_type oid): how a filter gets values of a column's type from their texts.
--
-- A domain stands for its base type: its checks are its owner's code, and the values have passed them already. Types whose
-- input could run such checks within (composite types, ranges and arrays that users made) are no types for a filter.
--
-- Result: type_name, qualified, without modifiers; is_array; delimiter, between the elements of an array of the type;
-- problem, as the end of a sentence about the column; null if there is none.
-- Tables: reads the catalog only. Users may call it.
create or replace function trunkline.filter_type(
    i_type oid, out type_name text, out is_array bool, out delimiter text, out problem text)
returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    -- Beside the row, which has no oid before PostgreSQL 12.
    v_oid     oid := i_type;
    v_type    pg_type;
    v_element pg_type;
begin
    select * into v_type from pg_type t where t.oid = v_oid;
    while v_type.typtype = 'd' loop
        v_oid := v_type.typbasetype;
        select * into v_type from pg_type t where t.oid = v_oid;
    end loop;
    type_name := format_type(v_oid, -1);
    is_array := v_type.typelem <> 0 and v_type.typlen = -1;
    delimiter := v_type.typdelim;
    if is_array then
        select * into v_element from pg_type t where t.oid = v_type.typelem;
        if v_element.typnamespace <> 'pg_catalog'::regnamespace or v_element.typtype not in ('b', 'r', 'm') then
            problem := 'is an array of a type that is not built in';
        end if;
    elsif v_type.typtype not in ('b', 'e', 'r', 'm') then
        problem := 'is of a composite type';
    elsif v_type.typtype in ('r', 'm') and v_type.typnamespace <> 'pg_catalog'::regnamespace then
        problem := 'is of a range type that is not built in';
    end if;
end
$$;
revoke all on function trunkline.filter_type(oid) from public;
grant execute on function trunkline.filter_type(oid) to pgq_admin;
