-- Function trunkline.column_facts(i_table oid, i_sees_rewrites bool): of what the columns of a table are made, as data, for who
-- makes the same ones elsewhere (sql/FORMAT.md, shapes).
--
-- A default is told where it is a constant of the column's own type: a quoted text, a number, true or false. What calls
-- anything is nobody's to run elsewhere.
-- `fill` is the value that a new column has in all rows from before it. The server keeps it from PostgreSQL 11 on, unless the
-- same command rewrites the table. Else the constant default stands for it, where i_sees_rewrites says that capture proves the
-- rows by a mark behind the shape: a default that came later has not touched them.
-- Result: [{"attnum", "schema", "type", "mod", "not_null", "default", "is_literal", "fill"}, ...].
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.column_facts(i_table oid, i_sees_rewrites bool) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 3
set bytea_output = 'hex'
set lc_monetary = 'C'
as $$
begin
    return (
        select coalesce(jsonb_agg(jsonb_build_object(
                   'attnum', c.attnum, 'schema', c.nspname, 'type', c.typname, 'mod', c.atttypmod, 'not_null', c.attnotnull,
                   'default', c.value, 'is_literal', c.word is null and c.value is not null,
                   'fill', coalesce(trunkline.filled_value(i_table, c.attname), case when i_sees_rewrites then c.value end))
                   order by c.attnum), '[]')
          from (select a.attnum, a.attname::text, n.nspname, t.typname, a.atttypmod, a.attnotnull, w.word,
                       coalesce(replace(substr(w.word, 2, length(w.word) - 2), '''''', ''''), w.plain) as value
                  from pg_attribute a
                  join pg_type t on t.oid = a.atttypid
                  join pg_namespace n on n.oid = t.typnamespace
                  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                 cross join lateral (select pg_get_expr(d.adbin, d.adrelid) as expression) e
                 cross join lateral (select regexp_match(e.expression, '^(''(?:[^''\\]|'''')*'')::(.+)$') as parts) q
                 cross join lateral (
                     select case when q.parts[2] = format_type(a.atttypid, null) then q.parts[1] end as word,
                            case when t.typcategory in ('N', 'B') and t.typtype = 'b'
                                 then substring(e.expression from '^(?:[0-9]+(?:[.][0-9]+)?|true|false)$') end as plain) w
                 where a.attrelid = i_table and a.attnum > 0 and not a.attisdropped) c);
end
$$;
revoke all on function trunkline.column_facts(oid, bool) from public;
