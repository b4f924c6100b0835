-- Function trunkline.wrote(i_xid): whether this transaction wrote the row version whose xmin it is, among versions that
-- this transaction's REPEATABLE READ or SERIALIZABLE snapshot shows.
--
-- The simple way, age(xmin) <= 0, is wrong where this transaction took its id before its snapshot (a LOCK TABLE as its
-- first command does): the snapshot then shows rows of younger transactions, dead ones too. What is numbered at or above
-- the snapshot's end can only be ours; in between, a transaction in progress can only be ours: others would not be shown.
-- (A row whose xmin was numbered 2^31 transactions ago looks like a younger one. To be taken for ours it must also have
-- been deleted by another session since the snapshot, and its key be written twice in one statement of ours.)
-- READ COMMITTED needs no such test: a visible row with a key that this transaction wrote is its own.
--
-- Result: true or false. Tables: none. Users must not: nothing to fear.
create or replace function trunkline.wrote(i_xid xid) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_own   bigint := txid_current();
    v_ahead bigint := (i_xid::text::bigint - v_own) & 4294967295;
begin
    if v_ahead >= 2147483648 then
        return false;
    end if;
    return v_ahead = 0 or v_own + v_ahead >= txid_snapshot_xmax(txid_current_snapshot())
           or txid_status(v_own + v_ahead) = 'in progress';
end
$$;
revoke all on function trunkline.wrote(xid) from public;
