-- Function trunkline.reader(i_table oid): as whom capture reads the rows of a table, so that nobody's code runs with rights that
-- are not his.
--
-- The story: to plan a query on a table the server computes what is constant in its indexes' expressions and predicates,
-- its extended statistics and its checks. `create statistics s on (f(1)), v from t` needs nothing but to own t, and f then runs
-- with the rights of whoever reads t next: as a superuser, where a superuser installed capture. Statements of capture on
-- transition tables plan no table; those that read live rows, attached partitions and checksums do. Looking for such code
-- first is no answer, since it can come between the look and the planning.
--
-- Result: self   a superuser or the current role owns it, all of it, and the functions that planning a query
-- on it calls: it is read
--                directly
--         owner  another role owns it, and the current role is a superuser: it is read by functions that belong to the owner
--                (trunkline.make_readers)
--         none   only partitions, or functions of its indexes, checks, statistics or partition keys, are
--         another role's: it is not read,
--                and who needed it is told to copy it again
--         checked  it, a partition or such a function is another role's, and the current role is no superuser
--         and cannot make a function
--                of another's: read directly, after a look for code (trunkline.foreign_code)
-- Tables: reads the catalog only. Users must not: nothing to fear.
create or replace function trunkline.reader(i_table oid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select case when not (bool_or(s.root) or bool_or(s.part)) and trunkline.foreign_code(i_table) is null then 'self'
                    when not (select r.rolsuper from pg_roles r where r.rolname = current_user) then 'checked'
                    when bool_or(s.root) then 'owner' else 'none' end
          from (select t.oid = i_table and not trunkline.is_trusted(c.relowner) as root,
                       t.oid <> i_table and not trunkline.is_trusted(c.relowner) as part
                  from (select i_table as oid union all select p.part_oid from trunkline.parts(i_table) p) t
                  join pg_class c on c.oid = t.oid) s);
end
$$;
revoke all on function trunkline.reader(oid) from public;

-- Function trunkline.is_trusted(i_role oid): whether a role's code may run with the rights of the current
-- one: its own, or a superuser's.
create or replace function trunkline.is_trusted(i_role oid) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select r.rolsuper or r.rolname = current_user from pg_roles r where r.oid = i_role;
$$;
revoke all on function trunkline.is_trusted(oid) from public;

-- Function trunkline.foreign_code(i_table oid): functions of roles that are not trusted which planning a
-- query on a table may call: in its indexes, checks, statistics and partition keys, and those of its
-- partitions. null: none.
create or replace function trunkline.foreign_code(i_table oid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Planning what follows takes a fresh session longer than all else of a look. Of most tables these small questions say
    -- that nothing calls a function but the server's own, which pg_depend leaves out.
    if exists (select from pg_class c where c.oid = i_table and c.relkind <> 'p')
       and not exists (select from pg_index i where i.indrelid = i_table and (i.indexprs is not null or i.indpred is not null))
       and not exists (
           select from pg_depend part join pg_depend d on d.classid = part.classid and d.objid = part.objid
            where part.refclassid = 'pg_class'::regclass and part.refobjid = i_table
              and part.classid in ('pg_constraint'::regclass, 'pg_statistic_ext'::regclass)
              and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass))
    then
        return null;
    end if;
    return (
        with tree (oid) as (
            select i_table union all select p.part_oid from trunkline.parts(i_table) p),
        part (classid, objid) as (
            select 'pg_class'::regclass, t.oid from tree t
            union all
            select 'pg_class'::regclass, i.indexrelid from tree t join pg_index i on i.indrelid = t.oid
            union all
            select 'pg_constraint'::regclass, k.oid from tree t join pg_constraint k on k.conrelid = t.oid
            union all
            select 'pg_statistic_ext'::regclass, s.oid from tree t join pg_statistic_ext s on s.stxrelid = t.oid)
        select string_agg(distinct f.oid::regprocedure::text, ', ')
          from part
          join pg_depend d on d.classid = part.classid and d.objid = part.objid
          left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
          join pg_proc f on f.oid = case when d.refclassid = 'pg_proc'::regclass then d.refobjid else o.oprcode end
         where not trunkline.is_trusted(f.proowner));
end
$$;
revoke all on function trunkline.foreign_code(oid) from public;
