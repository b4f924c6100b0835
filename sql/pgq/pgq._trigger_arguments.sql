-- pgq._trigger_arguments(i_arguments): reads the arguments of logutriga and its like: the queue, then any of
-- SKIP, backup, deny, ignore=C,C, pkey=C,C, when=EXPR, and FIELD=EXPR for ev_type, ev_data, ev_extra1 to ev_extra4; of
-- two lists the later one counts, of two expressions for one thing the first.
-- Result: one row; pkey (as written), ignored and condition are null if not said; places are those of the fields, 1 to 6.
-- Errors, all XX000 as in PgQ, where C code raises them: pgq trigger must have destination queue as argument; bad param
-- to pgq trigger. Tables touched: none.
create or replace function pgq._trigger_arguments(
    i_arguments text[],
    out queue_name text, out skip bool, out backup bool, out deny bool, out ignored text[], out pkey text[],
    out condition text, out places int4[], out expressions text[])
language plpgsql immutable
as $$
declare
    v_argument text;
    v_name     text;
    v_value    text;
    v_place    int4;
begin
    if cardinality(i_arguments) > 0 is not true then
        raise exception 'pgq trigger must have destination queue as argument' using errcode = 'XX000';
    end if;
    queue_name := i_arguments[array_lower(i_arguments, 1)];
    skip := false;
    backup := false;
    deny := false;
    places := '{}';
    expressions := '{}';
    foreach v_argument in array i_arguments[array_lower(i_arguments, 1) + 1 :] loop
        v_name := split_part(v_argument, '=', 1);
        v_value := substr(v_argument, length(v_name) + 2);
        v_place := array_position('{ev_type,ev_data,ev_extra1,ev_extra2,ev_extra3,ev_extra4}'::text[], v_name);
        if v_argument = 'SKIP' then
            skip := true;
        elsif v_argument = 'backup' then
            backup := true;
        elsif v_argument = 'deny' then
            deny := true;
        elsif v_argument = v_name then
            raise exception 'bad param to pgq trigger' using errcode = 'XX000', detail = v_argument;
        elsif v_name = 'ignore' then
            ignored := pgq._name_list(v_value);
        elsif v_name = 'pkey' then
            pkey := string_to_array(v_value, ',');
            if pkey = '{}' then
                pkey := array[''];
            end if;
        elsif v_name = 'when' then
            condition := coalesce(condition, v_value);
        elsif v_place = any (places) then
            null;
        elsif v_place is not null then
            places := places || v_place;
            expressions := expressions || v_value;
        else
            raise exception 'bad param to pgq trigger' using errcode = 'XX000', detail = v_argument;
        end if;
    end loop;
end
$$;

-- pgq._name_list(i_list): the names of a list with commas, without the white space around them. Result: text[].
create or replace function pgq._name_list(i_list text) returns text[]
language sql immutable
as $$
    select coalesce(array_agg(btrim(n.name, E' \t\r\n') order by n.place), array[''])
      from unnest(string_to_array(i_list, ',')) with ordinality n (name, place)
$$;
