-- Function trunkline.fence_obstacles(i_queue): what no waiting would help against, so that a fence is refused before it
-- takes a lock: tables whose triggers this function's owner may not switch, tables that are written through a parent which
-- is not of the set, and prepared transactions that have written.
-- Result: code (SQLSTATE), reason, hint; no row: none. Tables: reads the catalog, pg_prepared_xacts and pg_locks.
-- Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.fence_obstacles(i_queue text, out code text, out reason text, out hint text)
returns setof record
language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_levels oid[] := array(select l.table_oid from trunkline.levels(i_queue) l);
begin
    return query
        select '42501', format('role %I does not own %s%s', current_user,
                               string_agg(o.relation, ', ' order by o.place) filter (where o.place <= 5),
                               case when count(*) > 5 then format(' and %s more', count(*) - 5) end),
               format('ALTER TABLE ... ENABLE TRIGGER is for owners: have schema trunkline owned by a superuser, or '
                      'by a member of %s.', string_agg(distinct quote_ident(o.owner), ', '))
          from (select c.oid::regclass::text as relation, pg_get_userbyid(c.relowner)::text as owner,
                       row_number() over (order by c.oid) as place
                  from pg_class c
                 where c.oid = any (v_levels) and not pg_has_role(current_user, c.relowner, 'USAGE')) o
        having count(*) > 0;
    -- A statement fires the statement triggers of the table that it names, and of no child of it.
    return query
        select '0A000', format('a statement on %s writes rows of %s, and %s is not replicated here',
                               i.inhparent::regclass, i.inhrelid::regclass, i.inhparent::regclass),
               'Replicate the parent table, too, or end the inheritance.'
          from pg_inherits i
         where i.inhrelid = any (v_levels) and not i.inhparent = any (v_levels)
         order by i.inhrelid, i.inhparent limit 1;
    return query
        select '55006', format('prepared transaction %s has written %s', quote_literal(p.gid),
                               string_agg(distinct l.relation::regclass::text, ', ')),
               format('COMMIT PREPARED %1$s or ROLLBACK PREPARED %1$s.', quote_literal(p.gid))
          from pg_prepared_xacts p
          -- A prepared transaction has no pid: its number leads to its virtual one, and that to its other locks.
          join pg_locks x on x.locktype = 'transactionid' and x.transactionid = p.transaction and x.pid is null
          join pg_locks l on l.virtualtransaction = x.virtualtransaction and l.pid is null
         where p.database = current_database() and l.locktype = 'relation' and l.relation = any (v_levels)
           and l.mode not in ('AccessShareLock', 'RowShareLock')
         group by p.gid;
end
$$;
revoke all on function trunkline.fence_obstacles(text) from public;
