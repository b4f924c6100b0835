-- pgq.seq_getval(i_seq_name): the last number that a sequence gave out, without taking one.
-- Argument: a name as quote_fqname takes it. Result: bigint; one step before the first for an unused sequence.
-- Tables touched: reads the sequence, as the caller. Transactions that took a number may still be open.
create or replace function pgq.seq_getval(i_seq_name text) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_seq    regclass := pgq.quote_fqname(i_seq_name)::regclass;
    v_last   bigint;
    v_called bool;
begin
    if not exists (select from pg_class c where c.oid = v_seq and c.relkind = 'S') then
        raise exception 'not a sequence: %', i_seq_name using errcode = '42809';
    end if;
    execute format('select s.last_value, s.is_called from %s s', v_seq) into v_last, v_called;
    if v_called then
        return v_last;
    end if;
    return v_last - (select s.seqincrement from pg_sequence s where s.seqrelid = v_seq);
end
$$;
