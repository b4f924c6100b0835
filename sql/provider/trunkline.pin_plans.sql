-- Function trunkline.pin_plans(): has the following statements planned so that the plan serves one row and millions;
-- gives what trunkline.unpin_plans needs to put the session's own settings back.
--
-- Statements of a function keep the plan of their first call. enable_hashagg: sorts spill to disk on every
-- version, hash tables do not. enable_seqscan: a live read is a look by key. enable_nestloop stays: it is
-- what a look by key needs. Capture functions do without SET clauses for these: one costs up to two
-- microseconds a call, and the path of one row needs none. (It needs jit = off, and has a clause for that:
-- trunkline.make_capture.) After an error the settings go back with the (sub)transaction.
-- Tables: none. Users must not: call it without unpin_plans in the same function.
create or replace function trunkline.pin_plans() returns text[]
language plpgsql volatile
as $$
declare
    v_saved pg_catalog.text[] := array[pg_catalog.current_setting('enable_hashagg'), pg_catalog.current_setting('enable_seqscan')];
    v_set   pg_catalog.text;
begin
    v_set := pg_catalog.set_config('enable_hashagg', 'off', true);
    v_set := pg_catalog.set_config('enable_seqscan', 'off', true);
    return v_saved;
end
$$;
revoke all on function trunkline.pin_plans() from public;

-- Function trunkline.unpin_plans(i_saved): puts back what pin_plans changed.
create or replace function trunkline.unpin_plans(i_saved text[]) returns text
language plpgsql volatile
as $$
declare
    v_set pg_catalog.text;
begin
    v_set := pg_catalog.set_config('enable_hashagg', i_saved[1], true);
    v_set := pg_catalog.set_config('enable_seqscan', i_saved[2], true);
    return v_set;
end
$$;
revoke all on function trunkline.unpin_plans(text[]) from public;
