-- Function trunkline.verify(i_table oid, i_columns text[]): what a table of a set holds, to be compared with the same table on
-- another node that stands at the same tick: see trunkline.digest.
--
-- The table is read as its owner (trunkline.as_owner), so that what the owner has put on it takes no rights of the session.
-- Arguments: i_columns empty: the rows are counted only. Result: rows; sum, of their text in these columns, or 0.
-- Errors: 42P01 there is no such table; 42703 it lacks a column; 42501 the rows may not be read: row security hides some, or the
-- session's role may not act as the owner. Tables: reads the named one. Users: the schema's owner.
create or replace function trunkline.verify(i_table oid, i_columns text[], out rows bigint, out sum text)
returns record
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set row_security = off
as $$
declare
    v_table record;
begin
    select n.nspname as schema, c.relname as name,
           nullif(c.relowner, (select r.oid from pg_roles r where r.rolname = current_user)) as owner into v_table
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = i_table;
    if not found then
        raise exception 'there is no table with the oid %', i_table using errcode = '42P01';
    end if;
    select d.rows, d.sum::text into rows, sum
      from trunkline.digest_as(v_table.schema, v_table.name, i_columns, v_table.owner) d;
end
$$;
revoke all on function trunkline.verify(oid, text[]) from public;

-- Function trunkline.columns_to_verify(i_table oid): the columns of a table that replay writes: generated ones are not among
-- them. Tables: reads the catalog. Users: the schema's owner.
create or replace function trunkline.columns_to_verify(i_table oid) returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(a.attname::text order by a.attnum), '{}')
      from pg_attribute a
     where a.attrelid = i_table and a.attnum > 0 and not a.attisdropped
       -- Before PostgreSQL 12 there is none.
       and coalesce(to_jsonb(a) ->> 'attgenerated', '') = ''
$$;
revoke all on function trunkline.columns_to_verify(oid) from public;
