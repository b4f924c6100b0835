-- Function trunkline.all_output_settings(): every setting that the text of some value depends on, search_path apart.
create or replace function trunkline.all_output_settings() returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select '["DateStyle", "IntervalStyle", "TimeZone", "bytea_output", "extra_float_digits", "lc_monetary", "quote_all_identifiers"]'::jsonb;
$$;
revoke all on function trunkline.all_output_settings() from public;
