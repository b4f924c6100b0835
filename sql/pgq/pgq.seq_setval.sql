-- pgq.seq_setval(i_seq_name, i_new_value): moves a sequence forward to a value; never back.
-- Result: where the sequence stands afterwards. Tables touched: the sequence, as the caller.
-- The simple way, setval() of a greater value, takes back what nextval() gave out between the look and the call. So a
-- short way is walked with nextval(); a long way (over 100,000) is jumped, which nobody overtakes between two lines.
create or replace function pgq.seq_setval(i_seq_name text, i_new_value bigint) returns bigint
language plpgsql volatile strict
set search_path = pg_catalog, pg_temp
as $$
declare
    v_seq  regclass := pgq.quote_fqname(i_seq_name)::regclass;
    v_last bigint := pgq.seq_getval(i_seq_name);
    v_step bigint := (select s.seqincrement from pg_sequence s where s.seqrelid = v_seq);
begin
    if i_new_value <= v_last then
        return v_last;
    end if;
    if v_step = 1 and i_new_value - v_last <= 100000 then
        while nextval(v_seq) < i_new_value loop
        end loop;
    else
        perform setval(v_seq, i_new_value);
    end if;
    return pgq.seq_getval(i_seq_name);
end
$$;
