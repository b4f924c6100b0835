-- pgq._change_row(i_kind, i_names, i_values, i_ignored): a row as text: urlencoded (u, s) or JSON (j, whose values are
-- JSON already). Columns that are ignored are left out. Result: text. Tables touched: none.
create or replace function pgq._change_row(i_kind text, i_names text[], i_values text[], i_ignored text[]) returns text
language plpgsql immutable
as $$
begin
    if i_kind = 'j' then
        return (select '{' || coalesce(string_agg(to_json(c.name)::text || ':' || coalesce(c.value, 'null'), ','
                                                  order by c.place), '') || '}'
                  from unnest(i_names, i_values) with ordinality c (name, value, place)
                 where c.name = any (i_ignored) is not true);
    end if;
    -- Most names and values are plain.
    return (select coalesce(string_agg(
                       case when c.name ~ '[^0-9A-Za-z_.-]' then pgq._urlencode(c.name) else c.name end
                       || coalesce('=' || case when c.value ~ '[^0-9A-Za-z_.-]' then pgq._urlencode(c.value)
                                               else c.value end, ''), '&' order by c.place), '')
              from unnest(i_names, i_values) with ordinality c (name, value, place)
             where c.name = any (i_ignored) is not true);
end
$$;

-- pgq._change_sql(i_op, i_names, i_old, i_new, i_key, i_ignored): a change as the end of a statement: (COLUMNS) values
-- (VALUES); COLUMN=VALUE,... where KEY; KEY. Result: text. Errors: logtriga: Unexpected NULL key value.
create or replace function pgq._change_sql(
    i_op text, i_names text[], i_old text[], i_new text[], i_key text[], i_ignored text[]) returns text
language plpgsql immutable
as $$
declare
    v_key record;
    v_set text;
begin
    if i_op = 'INSERT' then
        return (select format('(%s) values (%s)', string_agg(quote_ident(c.name), ',' order by c.place),
                              string_agg(coalesce(quote_literal(c.value), 'null'), ',' order by c.place))
                  from unnest(i_names, i_new) with ordinality c (name, value, place)
                 where c.name = any (i_ignored) is not true);
    end if;
    select bool_or(c.value is null) as has_null,
           string_agg(quote_ident(c.name) || '=' || quote_literal(c.value), ' and ' order by c.place) as condition,
           (array_agg(quote_ident(c.name) || '=' || quote_literal(c.value) order by c.place))[1] as first
      into v_key
      from unnest(i_names, i_old) with ordinality c (name, value, place)
     where c.name = any (i_key);
    if v_key.has_null then
        raise exception 'logtriga: Unexpected NULL key value' using errcode = 'XX000';
    elsif i_op = 'DELETE' then
        return coalesce(v_key.condition, '');
    end if;
    v_set := (select string_agg(quote_ident(c.name) || '=' || coalesce(quote_literal(c.new), 'NULL'), ',' order by c.place)
                from unnest(i_names, i_old, i_new) with ordinality c (name, old, new, place)
               where c.old is distinct from c.new and (c.name = any (i_key) or c.name = any (i_ignored) is not true));
    if v_set is null and v_key.first is null then
        raise exception 'logtriga: Unexpected NULL key value' using errcode = 'XX000';
    end if;
    return coalesce(v_set, v_key.first) || ' where ' || coalesce(v_key.condition, '');
end
$$;

-- pgq._change_type(i_kind, i_op, i_table, i_key): the ev_type of a change. Result: text.
-- Tables touched: reads the catalog, for JSON.
create or replace function pgq._change_type(i_kind text, i_op text, i_table oid, i_key text[]) returns text
language plpgsql stable
as $$
begin
    if i_kind = 's' then
        return left(i_op, 1);
    elsif i_kind = 'u' then
        return left(i_op, 1) || ':' || array_to_string(i_key, ',');
    end if;
    return (select format('{"op":"%s","table":[%s,%s],"pkey":%s}', i_op, to_json(n.nspname::text),
                          to_json(c.relname::text), array_to_json(i_key))
              from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = i_table);
end
$$;

-- pgq._urlencode(i_text): for each byte outside of 0-9A-Za-z_.- a % and its hexadecimal digits; + for a space.
-- Result: text; null for null. One replace() for each kind of character: a loop over the bytes of a long value takes a
-- hundred times as long.
create or replace function pgq._urlencode(i_text text) returns text
language plpgsql immutable strict
as $$
declare
    v_text text := i_text;
    v_char text;
begin
    if v_text !~ '[^0-9A-Za-z_.-]' then
        return v_text;
    end if;
    v_text := replace(v_text, '%', '%25');
    for v_char in
        select distinct c from regexp_split_to_table(regexp_replace(v_text, '[0-9A-Za-z_.% -]+', '', 'g'), '') c
    loop
        v_text := replace(v_text, v_char, regexp_replace(encode(convert_to(v_char, getdatabaseencoding()), 'hex'),
                                                         '(..)', E'%\\1', 'g'));
    end loop;
    return replace(v_text, ' ', '+');
end
$$;
