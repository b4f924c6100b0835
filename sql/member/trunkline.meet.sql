-- Function trunkline.meet(i_queue, me): two nodes of a set meet: the caller tells what its own node says of itself
-- (trunkline.introduce there), and gets the same of this node.
--
-- The caller is heard (trunkline.hear) if it may be: who may stop this node's writes by a fence may also do so by
-- speaking of a higher term, and nobody else. Others get the answer, and nothing is stored. So this function has the
-- rights of its caller.
--
-- Arguments: me null: the caller only asks.
-- Result: trunkline.introduce, with heard: what hear gives, and may_speak: whether the caller may be heard.
-- Tables: those of both. Users: pgq_admin; EXECUTE on trunkline.hear is the right to be heard.
create or replace function trunkline.meet(i_queue text, me jsonb) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_may   bool := has_function_privilege('trunkline.hear(text, jsonb)', 'execute');
    v_heard jsonb;
begin
    if v_may and me is not null and not pg_is_in_recovery() then
        v_heard := trunkline.hear(i_queue, me);
    end if;
    return trunkline.introduce(i_queue) || jsonb_build_object('may_speak', v_may, 'heard', v_heard);
end
$$;
revoke all on function trunkline.meet(text, jsonb) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        grant execute on function trunkline.meet(text, jsonb) to pgq_admin;
    end if;
end
$$;
