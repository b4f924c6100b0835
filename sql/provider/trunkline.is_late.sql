-- Function trunkline.late_tables(): the captured tables whose functions are those of trunkline.refresh_later.
create or replace function trunkline.late_tables() returns setof oid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select substring(p.proname from '[0-9]+')::oid
      from pg_proc p
     where p.pronamespace = 'trunkline'::regnamespace and p.proname ~ '^capture_[0-9]+_truncate$'
       and strpos(p.prosrc, 'is distinct from ''late''') > 0;
$$;
revoke all on function trunkline.late_tables() from public;

-- Function trunkline.is_late(i_table oid): whether a captured table's functions are those of trunkline.refresh_later.
create or replace function trunkline.is_late(i_table oid) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from trunkline.late_tables() l where l = i_table);
$$;
revoke all on function trunkline.is_late(oid) from public;
