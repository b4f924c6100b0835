-- Function trunkline.digest(i_schema, i_name, i_columns text[], i_asked oid): a checksum of columns of a
-- table that does not depend on the order of the rows, to be compared between two servers of whatever version
-- and encoding.
--
-- Floats count with 15 digits, because servers before version 12 write the rest differently.
-- An inheritance child's rows are its own.
-- Arguments: i_asked the captured table, where its owner is to read it (trunkline.reader); else null.
-- Result: rows, and the sum of a 64-bit hash of each row. Tables: reads the named one, with the rights of the caller.
-- Users: anybody who may read the table.
create or replace function trunkline.digest(i_schema text, i_name text, i_columns text[], i_asked oid default null,
    out rows bigint, out sum numeric)
returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 0
set bytea_output = 'hex'
set lc_monetary = 'C'
set quote_all_identifiers = off
as $$
declare
    v_query text := trunkline.digest_query(i_schema, i_name, i_columns);
begin
    if i_asked is not null then
        execute format('select (a.a)[1]::bigint, (a.a)[2]::numeric from trunkline.ask_%s($1) a (a)', i_asked) into rows, sum
          using format('select array[q.n::text, q.s::text] from (%s) q (n, s)', v_query);
    else
        execute v_query into rows, sum;
    end if;
end
$$;
revoke all on function trunkline.digest(text, text, text[], oid) from public;

-- Function trunkline.digest_query(i_schema, i_name, i_columns text[]): the query of trunkline.digest, of one row: rows and sum.
-- Without columns the rows are counted, and the sum is 0.
create or replace function trunkline.digest_query(i_schema text, i_name text, i_columns text[]) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_table text := format('%I.%I', i_schema, i_name);
    v_only  text := case (select c.relkind from pg_class c where c.oid = to_regclass(v_table)) when 'p' then '' else 'only ' end;
begin
    if i_columns = '{}' then
        return format('select count(*), 0 from %s%s n', v_only, v_table);
    end if;
    return format(
        'select count(*), coalesce(sum((''x'' || substr(md5(convert_to(row(%s)::text, ''UTF8'')), 1, 16))::bit(64)::bigint), 0) from %s%s n',
        (select string_agg(format('n.%I', c), ', ' order by c collate "C") from unnest(i_columns) c),
        v_only, v_table);
end
$$;
revoke all on function trunkline.digest_query(text, text, text[]) from public;
