-- Function trunkline.fingerprint(i_table oid, i_index oid): the value of that expression now.
create or replace function trunkline.fingerprint(i_table oid, i_index oid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
as $$
declare
    v_value text;
begin
    execute 'select ' || trunkline.fingerprint_sql(i_table, i_index) into v_value;
    return v_value;
end
$$;
revoke all on function trunkline.fingerprint(oid, oid) from public;
