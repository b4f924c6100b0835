-- Function trunkline.code_of_others(i_table oid): code that runs when replay's role writes a subscriber's
-- table directly, as far as it is, or may become, that of a role that is neither a superuser nor the current
-- one. It would run with replay's rights.
--
--  * Of another role's table, or partition: its triggers that are ENABLE ALWAYS or REPLICA, and rules of that kind.
--  * Of any table: what calls a function or operator of such a role, among its triggers and rules that fire, check constraints,
--    domains, defaults, indexes, partition keys and extended statistics (what is constant in these the planner computes, whatever
--    the statement). Its owner may replace a function at any time, so whose it is counts, and not what it does. What it calls in
--    turn is not looked at.
--  * Types of such a role that it may give code to.
--  * Partitions of such a role, where the table is none of its: attached, they are written as the table is.
-- Triggers of capture are nobody's code: their functions are in our schema, of its owner, whom replay trusts
-- (sql/src/install/ownership.rs), and call none of the table's owner. One with a WHEN clause is not capture's.
-- Result: a list for a person; null: none.
-- Tables: reads the catalog only. PL/pgSQL keeps its plan for the session; planning it took ten times as long as running it.
create or replace function trunkline.code_of_others(i_table oid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_me oid := quote_ident(current_user)::regrole;
begin
    return (
        with recursive tree (oid, owner) as (
            select c.oid, c.relowner from pg_class c where c.oid = i_table
            union all
            select c.oid, c.relowner
              from tree
              join pg_inherits i on i.inhparent = tree.oid
              join pg_class c on c.oid = i.inhrelid and c.relispartition
        ), stranger (oid, name) as (
            select tree.oid, r.rolname from tree join pg_roles r on r.oid = tree.owner where not r.rolsuper and r.oid <> v_me
        ), trusted (oid) as (
            select tree.oid from tree except select stranger.oid from stranger
        ), type_of (oid) as (
            select trunkline.component_types(array(
                -- Types that come with the server have no code of users.
                select a.atttypid from tree join pg_attribute a on a.attrelid = tree.oid
                 where a.attnum > 0 and not a.attisdropped and a.atttypid >= 16384))
        ), part (what, classid, objid) as (
            select format('constraint %I', k.conname), 'pg_constraint'::regclass, k.oid
              from tree join pg_constraint k on k.conrelid = tree.oid
            union all
            select format('constraint %I of a domain', k.conname), 'pg_constraint'::regclass, k.oid
              from type_of t join pg_constraint k on k.contypid = t.oid
            union all
            select format('type %s', format_type(t.oid, null)), 'pg_type'::regclass, t.oid from type_of t where t.oid >= 16384
            union all
            select 'a default', 'pg_attrdef'::regclass, d.oid from tree join pg_attrdef d on d.adrelid = tree.oid
            union all
            select format('index %I', c.relname), 'pg_class'::regclass, i.indexrelid
              from tree join pg_index i on i.indrelid = tree.oid join pg_class c on c.oid = i.indexrelid
            union all
            select 'the partition key', 'pg_class'::regclass, tree.oid from tree
            union all
            select format('statistics %I', x.stxname), 'pg_statistic_ext'::regclass, x.oid
              from tree join pg_statistic_ext x on x.stxrelid = tree.oid
            union all
            select format('trigger %I', t.tgname), 'pg_trigger'::regclass, t.oid
              from trusted
              join pg_trigger t on t.tgrelid = trusted.oid and not t.tgisinternal and t.tgenabled in ('A', 'R') and not trunkline.is_capture(t)
            union all
            select format('rule %I', w.rulename), 'pg_rewrite'::regclass, w.oid
              from trusted join pg_rewrite w on w.ev_class = trusted.oid and w.ev_enabled in ('A', 'R')
        ), found (what) as (
            select format('trigger %I belongs to %s', t.tgname, s.name)
              from stranger s
              join pg_trigger t on t.tgrelid = s.oid and not t.tgisinternal and t.tgenabled in ('A', 'R') and not trunkline.is_capture(t)
            union
            select format('rule %I belongs to %s', w.rulename, s.name)
              from stranger s join pg_rewrite w on w.ev_class = s.oid and w.ev_enabled in ('A', 'R')
            union
            select format('type %s belongs to %s', format_type(t.oid, null), r.rolname)
              from type_of join pg_type t on t.oid = type_of.oid and t.typtype in ('d', 'c', 'r', 'm')
              join pg_roles r on r.oid = t.typowner
             where not r.rolsuper and r.oid <> v_me
            union
            select format('partition %s belongs to %s', s.oid::regclass, s.name)
              from stranger s
             where not exists (select from stranger root where root.oid = i_table)
            union
            select format('%s calls %s of %s', part.what, p.oid::regprocedure, r.rolname)
              from part
              join pg_depend d on d.classid = part.classid and d.objid = part.objid
               and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass)
              left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
              join pg_proc p on p.oid = case when d.refclassid = 'pg_proc'::regclass then d.refobjid else o.oprcode end
              join pg_roles r on r.oid = p.proowner
             where not r.rolsuper and r.oid <> v_me
        )
        select string_agg(found.what, ', ' order by found.what) from found);
end
$$;
revoke all on function trunkline.code_of_others(oid) from public;

-- Function trunkline.is_capture(i_trigger pg_trigger): whether a trigger is one of capture, all of whose code is of
-- the owner of schema trunkline. Where the table is read as its owner (trunkline.reader), capture calls functions
-- that belong to the table's owner, who may replace them: trunkline.live_<oid> and ask_<oid>.
-- Tables: reads the catalog only.
create or replace function trunkline.is_capture(i_trigger pg_trigger) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select i_trigger.tgqual is null and exists (
        select from pg_namespace n
          join pg_proc p on p.oid = i_trigger.tgfoid and p.pronamespace = n.oid and p.proowner = n.nspowner
         where n.nspname = 'trunkline' and p.proname ~ '^capture_[0-9]+_(insert|update|delete|row|truncate)$'
           and not exists (
                   select from pg_proc o join pg_roles r on r.oid = o.proowner
                    where o.pronamespace = n.oid and not r.rolsuper and r.rolname <> current_user and r.oid <> n.nspowner
                      and o.proname in ('live_' || split_part(p.proname, '_', 2), 'ask_' || split_part(p.proname, '_', 2))));
$$;
revoke all on function trunkline.is_capture(pg_trigger) from public;

-- Function trunkline.has_no_code(i_table oid): whether a table is one of the many on which nothing but the server's own
-- code can run: it has no trigger or rule, no column of a type of a user's, and nothing that calls a function or operator
-- of a user's. trunkline.code_of_others, trunkline.path_for and trunkline.is_unlogged have nothing to say of such a table,
-- and planning them takes a fresh session nine times as long as this. Of other tables it says nothing.
-- What calls functions is found through pg_depend, which leaves those of the server out. Indexes are looked at by
-- themselves, because one of a constraint need not depend on the table.
-- Tables: reads the catalog only.
create or replace function trunkline.has_no_code(i_table oid) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_kind record;
begin
    select c.relkind, c.relhasrules, c.relhastriggers into v_kind from pg_class c where c.oid = i_table;
    if v_kind.relkind is distinct from 'r' or v_kind.relhasrules
       -- Foreign keys have triggers, too.
       or v_kind.relhastriggers and exists (select from pg_trigger t where t.tgrelid = i_table and not t.tgisinternal)
    then
        return false;
    end if;
    return not exists (select from pg_attribute a where a.attrelid = i_table and a.attnum > 0 and a.atttypid >= 16384)
       and not exists (select from pg_index i where i.indrelid = i_table and (i.indexprs is not null or i.indpred is not null))
       and not exists (
           select from pg_depend part join pg_depend d on d.classid = part.classid and d.objid = part.objid
            where part.refclassid = 'pg_class'::regclass and part.refobjid = i_table
              and part.classid in ('pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_statistic_ext'::regclass)
              and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass));
end
$$;
revoke all on function trunkline.has_no_code(oid) from public;
