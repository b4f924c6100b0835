-- Function trunkline.capture_readable(i_plan jsonb, i_shape_id, i_body text): statements that read live rows,
-- behind a look whether the table may still be read. If not, consumers are told to copy it: the application's
-- statement must not fail for that, and which rows there are is not known.
--
-- Where the table is the capturing role's own it is three calls, and no function of ours.
-- Result: PL/pgSQL. Tables: none. Users must not: it is a part of trunkline.capture_source.
create or replace function trunkline.capture_readable(i_plan jsonb, i_shape_id bigint, i_body text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return format($f$if %s then
        %s
    else
        perform trunkline.log_mark(%s, 'resync', %L::pg_catalog.json);
    end if;$f$,
        case i_plan ->> 'reader' when 'self' then format(
            '(pg_catalog.has_table_privilege(%1$s::pg_catalog.oid, ''SELECT'') and pg_catalog.has_schema_privilege(%2$s::pg_catalog.oid, ''USAGE'') '
            'and not pg_catalog.row_security_active(%1$s::pg_catalog.oid)) is true', i_plan ->> 'oid',
            (select c.relnamespace from pg_class c where c.oid = (i_plan ->> 'oid')::oid))
        else format('trunkline.may_read(%s::pg_catalog.oid, %L)', i_plan ->> 'oid', i_plan ->> 'reader') end
        -- Keys are compared by operators, which extensions may have in schemas of their own.
        || coalesce((select string_agg(distinct format(' and pg_catalog.has_schema_privilege(%s%s::pg_catalog.oid, ''USAGE'') is true',
                            (i_plan ->> 'owner') || '::pg_catalog.oid, ', s.namespace::oid), '')
               from (select to_regnamespace(substring(k.key ->> 'operator' from '^operator[(](.*)[.][^.]+[)]$')) as namespace
                       from jsonb_array_elements(nullif(i_plan -> 'keys', 'null')) k (key)
                     union
                     select b.typnamespace
                       from jsonb_array_elements(nullif(i_plan -> 'keys', 'null')) k (key)
                       join pg_attribute a on a.attrelid = (i_plan ->> 'oid')::oid and a.attnum = (k.key ->> 'attnum')::int2
                       join pg_type b on b.oid = trunkline.base_type(a.atttypid)
                      where k.key ->> 'base' is not null) s
              where s.namespace <> 'pg_catalog'::regnamespace), ''),
        i_body, i_shape_id, json_build_object('why', 'a statement within another one wrote rows, and capture may not read them: '
            'it has no SELECT on the table or no USAGE on its schema, row level security hides rows, or somebody else''s code would run'));
end
$$;
revoke all on function trunkline.capture_readable(jsonb, bigint, text) from public;
