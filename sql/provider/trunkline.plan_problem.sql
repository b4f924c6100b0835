-- Function trunkline.plan_problem(i_table, i_identity, i_key jsonb, i_old jsonb): why changes of the table may be missing
-- from its events from here on; null if all is well.
create or replace function trunkline.plan_problem(i_table oid, i_identity text, i_key jsonb, i_old jsonb) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
    select case
        when c.relkind not in ('r', 'p') then 'it is not an ordinary table any more'
        when exists (select from (select i_table as oid union all select t.part_oid from trunkline.parts(i_table) t) one
                       join pg_class p on p.oid = one.oid
                      where p.relpersistence <> 'p')
            then 'it is unlogged: a crash empties it without an event'
        when exists (select from trunkline.parts(i_table) t join pg_class p on p.oid = t.part_oid where p.relkind not in ('r', 'p'))
            then 'a partition of it is no ordinary table: changes made there are not seen'
        when c.relispartition then 'it is a partition of another table'
        when row_security_active(i_table)
            then format('row level security hides rows from role %I, which captures it', current_user)
        when i_identity = 'key' and (i_key ->> 'lost')::bool then 'it has lost its key'
        when i_old ->> 'oid' is not null and exists (
                select from (select i_table as oid union all
                             select t.part_oid from trunkline.parts(i_table) t
                               join trunkline.captured_part k on k.part_oid = t.part_oid and k.root_oid = i_table) one
                 where (select count(*) from pg_trigger g
                         where g.tgrelid = one.oid and left(g.tgname, 10) = 'trunkline_'
                           -- What replay writes here must fire them, too.
                           and (g.tgenabled = 'A' or g.tgenabled = 'O' and not exists (
                                   select from trunkline.captured w where w.table_oid = i_table and w.writers <> '{}')))
                       < case when trunkline.form_of(i_old) = 'tree' then 2 else 4 end)
            then 'triggers of its capture are disabled or gone'
    end
      from pg_class c where c.oid = i_table);
end
$$;
revoke all on function trunkline.plan_problem(oid, text, jsonb, jsonb) from public;
