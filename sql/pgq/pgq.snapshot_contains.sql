-- pgq.snapshot_contains(i_outer, i_inner): whether everything that i_inner sees, i_outer sees too.
-- Result: bool. It may say false for two snapshots that see the same (a later snapshot will say true), never true
-- wrongly. Tables touched: none. In PL/pgSQL, whose plans last for the session: each tick asks.
create or replace function pgq.snapshot_contains(i_outer txid_snapshot, i_inner txid_snapshot) returns bool
language plpgsql immutable strict
set search_path = pg_catalog, pg_temp
as $$
begin
    return txid_snapshot_xmax(i_outer) >= txid_snapshot_xmax(i_inner)
       and not exists (select from txid_snapshot_xip(i_outer) x where txid_visible_in_snapshot(x, i_inner));
end
$$;
