-- Function trunkline.ordinary_writing(i_schema, i_table)
--
-- What keeps replay from writing a subscriber's table in an ordinary session, where session_replication_role is origin. There,
-- ordinary triggers and rules act on the rows that replay writes, and foreign keys are enforced and act. Triggers and rules that
-- act a second time, after they have acted on the provider, are refused. Constraints that only check are allowed, and require an
-- order of writing.
--
-- Result: one row; no table: nulls.
--   relation      the table
--   refusal       what would act, by name; null if nothing
--   refers_to     other tables that foreign keys of it or its partitions refer to
--   to_itself     some foreign key of it refers to itself
-- Tables: reads the catalog only.

create or replace function trunkline.ordinary_writing(
    i_schema text,
    i_table text,
    out relation oid,
    out refusal text,
    out refers_to oid[],
    out to_itself boolean)
returns record
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive tree as (
        select c.oid, true as is_root
          from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = i_schema and c.relname = i_table and c.relkind in ('r', 'p')
        union all
        select c.oid, false
          from tree
          join pg_inherits i on i.inhparent = tree.oid
          join pg_class c on c.oid = i.inhrelid and c.relispartition
    ), found (what) as (
        select format('trigger %I, which acts on what ordinary sessions write', t.tgname)
          from tree join pg_trigger t on t.tgrelid = tree.oid
         where not t.tgisinternal and t.tgenabled = 'O'
        union
        -- A deferrable trigger would run at the commit, when the session's role is replay's again.
        select format('trigger %I, which is deferrable', t.tgname)
          from tree join pg_trigger t on t.tgrelid = tree.oid
         where not t.tgisinternal and t.tgenabled = 'A' and t.tgdeferrable
        union
        select format('trigger %I of capture, which logs for others what is written here: they can follow only what replay writes as a '
                      'replica', t.tgname)
          from tree join pg_trigger t on t.tgrelid = tree.oid
          join pg_proc p on p.oid = t.tgfoid and p.pronamespace = 'trunkline'::regnamespace
         where not t.tgisinternal and t.tgenabled = 'A' and left(t.tgname, 10) = 'trunkline_'
        union
        select format('rule %I, which acts on what ordinary sessions write', w.rulename)
          from tree join pg_rewrite w on w.ev_class = tree.oid
         where w.ev_enabled = 'O' and w.ev_type in ('2', '3', '4')
        union
        select format('foreign key %I of %s, which changes that table (ON %s)', k.conname, k.conrelid::regclass,
                      case when k.confdeltype in ('a', 'r') then 'UPDATE' else 'DELETE' end)
          from tree join pg_constraint k on k.confrelid = tree.oid and k.contype = 'f'
         where (k.confdeltype not in ('a', 'r') or k.confupdtype not in ('a', 'r'))
           -- Of a partition's key the table's own tells.
           and not exists (select from pg_inherits i where i.inhrelid = k.conrelid and i.inhparent in
                           (select o.conrelid from pg_constraint o where o.contype = 'f' and o.confrelid = k.confrelid))
    ), key (target, is_own) as (
        select k.confrelid, k.confrelid in (select tree.oid from tree)
          from tree join pg_constraint k on k.conrelid = tree.oid and k.contype = 'f'
    )
    select (select tree.oid from tree where tree.is_root),
           (select string_agg(found.what, '; ' order by found.what) from found),
           array(select distinct key.target from key where not key.is_own),
           exists (select from key where key.is_own);
$$;

revoke all on function trunkline.ordinary_writing(text, text) from public;
