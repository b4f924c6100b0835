-- pgq.seq_getval(i_seq_name): the number that a sequence stands at, without taking one.
-- Argument: a name as quote_fqname takes it. Result: bigint: the last number that it gave out, or, unused, the first
-- that it will give out; null for null, and for a relation that is no sequence.
-- Tables touched: reads the sequence, as the caller. Transactions that took a number may still be open.
create or replace function pgq.seq_getval(i_seq_name text) returns bigint
language plpgsql volatile strict
set search_path = pg_catalog, pg_temp
as $$
declare
    v_seq  regclass := pgq.quote_fqname(i_seq_name)::regclass;
    v_last bigint;
begin
    if exists (select from pg_class c where c.oid = v_seq and c.relkind = 'S') then
        execute format('select s.last_value from %s s', v_seq) into v_last;
    end if;
    return v_last;
end
$$;
