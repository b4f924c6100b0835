-- Function trunkline.make_function(i_function, i_head, i_body, i_config): makes or replaces a function of capture.
--
-- The story: an ALTER TABLE has changed a captured table, and its functions are replaced inside the same transaction. An event
-- trigger of the user's fires for that CREATE FUNCTION, too. It fails (it writes to a table that it finds by its search_path),
-- or it refuses all DDL but the one it knows. The old function stays, names a column that is gone, and from then on it fails
-- every statement of the application on the table.
--
-- So where the command fails, the function that is there gets its new body and settings by an UPDATE of its row in pg_proc.
-- Such an UPDATE fires no trigger, and other sessions learn of it as of a CREATE OR REPLACE. It requires a superuser.
-- The simple way, a flag that each function tests at each call, would cost what a captured row may not cost.
--
-- Arguments: i_function its name and argument types; i_head the command up to AS; i_config what its SET clauses are in pg_proc.
-- Result: none. Errors: those of the command, where there is no function yet or the role is no superuser.
-- Tables: creates a function, or writes pg_proc. Users must not: it is a part of trunkline.make_capture.
create or replace function trunkline.make_function(i_function text, i_head text, i_body text, i_config text[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_known oid := to_regprocedure(i_function);
begin
    execute format('%s as %L', i_head, i_body);
    if has_function_privilege('public', to_regprocedure(i_function), 'execute') then
        execute format('revoke all on function %s from public', i_function);
    end if;
exception when others then
    if v_known is null or not (select r.rolsuper from pg_roles r where r.rolname = current_user) then
        raise;
    end if;
    update pg_proc p set prosrc = i_body, proconfig = i_config where p.oid = v_known;
end
$$;
revoke all on function trunkline.make_function(text, text, text, text[]) from public;
