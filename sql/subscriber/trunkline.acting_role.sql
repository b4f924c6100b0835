-- Function trunkline.acting_role(i_schema, i_table)
--
-- As whom replay writes a subscriber's table, so that the table's owner cannot run code as
-- a stronger role. Code is what the owner has put on the table or one of its partitions and
-- what runs when replay writes it: triggers that are ENABLE ALWAYS or REPLICA, rules of that
-- kind, functions and operators in check constraints, domains, defaults, indexes, partition
-- keys and extended statistics (what is constant in these the planner computes, whatever the
-- statement), and types of the owner's that it may give such code to. Code of superusers and of the role itself is nobody else's.
--
-- Result: one row.
--   acts_as     the owner, where it is neither the current role nor a superuser and the current role is a member of it: the table is
--               read and written by trunkline.as_owner; else null
--   role        the number of that role
--   immediate   the command that has the table's deferrable triggers and constraints checked at once, since none may be deferred there;
--               null where it has none
--   own_path    the search_path for statements over the table, where its code asks for one (trunkline.path_for): without schemas that others
--               have a hand in where acts_as is null (trunkline.trusted_path); else null
--   owner       the owner, if it is neither a superuser nor the current role; else null
--   code        what would run of it, or of owners of partitions; null if nothing
-- Tables: reads the catalog only. PL/pgSQL keeps its plan for the session; planning it took ten times as long as running it.

create or replace function trunkline.acting_role(
    i_schema text,
    i_table text,
    out acts_as text,
    out role oid,
    out immediate text,
    out own_path text,
    out owner text,
    out code text)
returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    with recursive tree as (
        select c.oid, c.relowner, true as is_root
          from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = i_schema and c.relname = i_table and c.relkind in ('r', 'p')
        union all
        select c.oid, c.relowner, false
          from tree
          join pg_inherits i on i.inhparent = tree.oid
          join pg_class c on c.oid = i.inhrelid and c.relispartition
    ), me as (
        select r.oid from pg_roles r where r.rolname = current_user
    ), stranger as (
        select tree.oid, tree.relowner, tree.is_root
          from tree join pg_roles r on r.oid = tree.relowner, me
         where not r.rolsuper and tree.relowner <> me.oid
    ), type_of (oid) as (
        select trunkline.component_types(array(
            select a.atttypid from stranger s
              join pg_attribute a on a.attrelid = s.oid and a.attnum > 0 and not a.attisdropped))
    ), part (what, classid, objid) as (
        select format('constraint %I', k.conname), 'pg_constraint'::regclass, k.oid
          from stranger s join pg_constraint k on k.conrelid = s.oid
        union all
        select format('constraint %I of a domain', k.conname), 'pg_constraint'::regclass, k.oid
          from type_of t join pg_constraint k on k.contypid = t.oid
        union all
        select 'a default', 'pg_attrdef'::regclass, d.oid
          from stranger s join pg_attrdef d on d.adrelid = s.oid
        union all
        select format('index %I', c.relname), 'pg_class'::regclass, i.indexrelid
          from stranger s join pg_index i on i.indrelid = s.oid join pg_class c on c.oid = i.indexrelid
        union all
        select 'the partition key', 'pg_class'::regclass, s.oid from stranger s
        union all
        select format('statistics %I', x.stxname), 'pg_statistic_ext'::regclass, x.oid
          from stranger s join pg_statistic_ext x on x.stxrelid = s.oid
    ), found (what) as (
        select format('trigger %I', t.tgname)
          from stranger s
          join pg_trigger t on t.tgrelid = s.oid and not t.tgisinternal and t.tgenabled in ('A', 'R')
        union
        select format('rule %I', w.rulename)
          from stranger s
          join pg_rewrite w on w.ev_class = s.oid and w.ev_enabled in ('A', 'R')
        union
        -- Whose owner may give it a check at any time, which no lock on the table keeps away.
        select format('type %s', format_type(t.oid, null))
          from type_of join pg_type t on t.oid = type_of.oid and t.typtype in ('d', 'c', 'r', 'm')
          join pg_roles r on r.oid = t.typowner, me
         where not r.rolsuper and t.typowner <> me.oid
        union
        -- Of a table of the role's own, a partition of another's: it would be written as the role.
        select format('partition %s', s.oid::regclass)
          from stranger s
         where not exists (select from stranger root where root.is_root)
        union
        select part.what
          from part
          join pg_depend d on d.classid = part.classid and d.objid = part.objid
          left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
          join pg_proc p on p.oid = case when d.refclassid = 'pg_proc'::regclass then d.refobjid else o.oprcode end
          join pg_roles r on r.oid = p.proowner, me
         where not r.rolsuper and p.proowner <> me.oid
    )
    select m.owner, m.relowner,
           (select 'set constraints ' || string_agg(distinct format('%I.%I', kn.nspname, k.conname), ', ') || ' immediate'
              from tree
              join pg_trigger t on t.tgrelid = tree.oid and t.tgdeferrable
              join pg_constraint k on k.oid = t.tgconstraint
              join pg_namespace kn on kn.oid = k.connamespace
             where t.tgenabled = 'A'
                or t.tgenabled = case current_setting('session_replication_role') when 'replica' then 'R' else 'O' end),
           (select case when m.owner is null then (select t.path from trunkline.trusted_path() t) else p.path end
              from trunkline.path_for(i_schema, i_table) p (path)
             where p.path is not null),
           pg_get_userbyid(s.relowner)::text,
           (select string_agg(found.what, ', ' order by found.what) from found)
      into acts_as, role, immediate, own_path, owner, code
      from me
      left join stranger s on s.is_root
      left join lateral (
          select pg_get_userbyid(s.relowner)::text, s.relowner
           where case when current_setting('server_version_num')::int >= 160000
                      then pg_has_role(me.oid, s.relowner, 'SET') else true end
             and pg_has_role(me.oid, s.relowner, 'USAGE')) m (owner, relowner) on true;
end
$$;

revoke all on function trunkline.acting_role(text, text) from public;
