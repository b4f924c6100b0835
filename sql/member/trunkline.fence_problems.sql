-- Function trunkline.fence_problems(): the tables and partitions of this database's sets whose deny trigger is not as
-- the role asks, because an owner has switched it, or another program has made it.
-- Result: queue_name, table_name (quoted where it must be), problem; with table_name null it is about the database.
-- Tables: reads trunkline.role and the catalog. Users: pgq_reader.
create or replace function trunkline.fence_problems(out queue_name text, out table_name text, out problem text)
returns setof record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select r.queue_name, l.table_oid::regclass::text,
               case when r.role = 'provider' then 'refuses writes, although this node is the provider'
                    when d.state is null or d.state = 'D'
                    then format('takes writes, although this node is %s: its trigger deny_trunkline is %s', r.role,
                                case when d.state is null then 'not there' else 'disabled' end)
                    else 'has a trigger deny_trunkline that somebody else made' end
          from trunkline.role r
          cross join lateral trunkline.levels(r.queue_name) l
          cross join lateral (select trunkline.deny_state(l.table_oid) as state) d
         where case when r.role in ('fenced', 'standby') then d.state is distinct from 'O'
                    when r.role = 'provider' then d.state <> 'D' and not r.opening end
         order by 1, 2;
    return query
        select r.queue_name, null::text,
               format('default_transaction_read_only of database %I is not on, by which clients find the provider',
                      current_database())
          from trunkline.role r
         where r.role = 'fenced' and (select n.read_only_before from trunkline.node n) is not null
           and not exists (select from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
                            where d.datname = current_database() and s.setrole = 0
                              and 'default_transaction_read_only=on' = any (s.setconfig));
end
$$;
revoke all on function trunkline.fence_problems() from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_reader') then
        grant execute on function trunkline.fence_problems() to pgq_reader;
    end if;
end
$$;
