-- Function trunkline.filled_value(i_table oid, i_column): the value that a column which was added with a default has in all
-- rows of before, without having been written into any (from PostgreSQL 11 on); null if it has none.
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.filled_value(i_table oid, i_column text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 3
set bytea_output = 'hex'
set lc_monetary = 'C'
as $$
declare
    v_value text;
begin
    if current_setting('server_version_num')::int4 >= 110000 then
        -- The catalog keeps it as an array of one, and an array has a text whatever it is of.
        execute 'select (a.attmissingval::text::text[])[1]
                   from (select $1 as oid union all select p.part_oid from trunkline.parts($1) p) t
                   join pg_attribute a on a.attrelid = t.oid and a.attname = $2 and not a.attisdropped and a.atthasmissing
                  limit 1'
           into v_value using i_table, i_column;
    end if;
    return v_value;
end
$$;
revoke all on function trunkline.filled_value(oid, text) from public;
