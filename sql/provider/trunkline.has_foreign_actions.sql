-- Function trunkline.has_foreign_actions(i_table oid): whether actions of foreign keys write to the table or to one of its
-- parts: all referential actions of one client statement share one transition table, whatever changed in between.
create or replace function trunkline.has_foreign_actions(i_table oid) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
    select exists (
        select from pg_constraint c
         where c.conrelid = any (array(select i_table union all select p.part_oid from trunkline.parts(i_table) p))
           and c.contype = 'f' and (c.confupdtype in ('c', 'n', 'd') or c.confdeltype in ('n', 'd'))));
end
$$;
revoke all on function trunkline.has_foreign_actions(oid) from public;
