-- Function trunkline.writers_of(i_table oid): the consumers whose replay writes a table of this database, or a
-- partition of it, as their lists say (trunkline.table_state); none where this database is no subscriber.
-- Result: names, in order. Tables: reads the catalog and trunkline.table_state. Users must not: nothing to fear.
create or replace function trunkline.writers_of(i_table oid) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regclass('trunkline.table_state') is null then
        return '{}';
    end if;
    if not trunkline.knows_writers() then
        -- An older table_state may lack columns. What such a replay writes is not to be captured: trunkline.relay_refusal.
        return array(
            select distinct s.consumer
              from (select i_table as oid union all select p.part_oid from trunkline.parts(i_table) p) t
              join pg_class c on c.oid = t.oid
              join pg_namespace n on n.oid = c.relnamespace
              join trunkline.table_state s on coalesce(to_jsonb(s) ->> 'target_schema', s.schema_name) = n.nspname
                                          and coalesce(to_jsonb(s) ->> 'target_name', s.table_name) = c.relname
             order by s.consumer);
    end if;
    -- By the name that the provider's table has now, where no other one is given: replay writes it under that. By its number
    -- as long as no table has that name: between its renaming here and the batch that brings the new name no list has it.
    return array(
        with tree (oid) as (select i_table union all select p.part_oid from trunkline.parts(i_table) p)
        select s.consumer
          from tree t
          join pg_class c on c.oid = t.oid
          join pg_namespace n on n.oid = c.relnamespace
          join trunkline.table_state s on coalesce(s.target_schema, s.schema_now, s.schema_name) = n.nspname
                                      and coalesce(s.target_name, s.name_now, s.table_name) = c.relname
         union
        select s.consumer
          from tree t
          join trunkline.table_state s on s.target_oid = t.oid
         where not exists (select from pg_namespace n join pg_class c on c.relnamespace = n.oid
                            where n.nspname = coalesce(s.target_schema, s.schema_now, s.schema_name)
                              and c.relname = coalesce(s.target_name, s.name_now, s.table_name))
         order by 1);
end
$$;
revoke all on function trunkline.writers_of(oid) from public;

-- Function trunkline.logged_writers(i_queue int4, i_table oid, i_consumers text[]): those of the writers whose changes capture is
-- to log, for these consumers of the table. A standby's tables are captured for the set ('*') before anybody reads them there:
-- nothing is logged as long as nobody could need it, so that a pair pays nothing.
create or replace function trunkline.logged_writers(i_queue int4, i_table oid, i_consumers text[]) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if i_consumers = '{*}' and trunkline.stands_by(i_queue) then
        return '{}';
    end if;
    return trunkline.writers_of(i_table);
end
$$;
revoke all on function trunkline.logged_writers(int4, oid, text[]) from public;

-- Function trunkline.stands_by(i_queue): whether this node is a standby of the set of a queue whose log no further node could
-- need (trunkline.relay). Tables: reads role.
create or replace function trunkline.stands_by(i_queue int4) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regclass('trunkline.role') is null then
        return false;
    end if;
    return exists (select from trunkline.role r join pgq.queue q on q.queue_name = r.queue_name
                    where q.queue_id = i_queue and r.role = 'standby' and not r.relaying);
end
$$;
revoke all on function trunkline.stands_by(int4) from public;

-- Function trunkline.is_ready_only(i_table oid): whether a standby has captured a table, or the table that it is a partition of,
-- for the set alone, and does not log what replay writes to it. Then its rows belong to no tick of the queue, and a promotion
-- lets the log begin anew. Tables: reads captured, captured_part and role. Users: the schema's owner.
create or replace function trunkline.is_ready_only(i_table oid) returns bool
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regclass('trunkline.role') is null then
        return false;
    end if;
    return exists (select from trunkline.captured c
                     join pgq.queue q on q.queue_id = c.queue_id
                     join trunkline.role r on r.queue_name = q.queue_name
                    where c.table_oid = trunkline.captured_root(i_table) and c.consumers = '{*}' and c.writers = '{}'
                      and r.role = 'standby');
end
$$;
revoke all on function trunkline.is_ready_only(oid) from public;
-- Replay asks as the owner of schema trunkline, who may be another role than the one that installs capture.
do $do$
begin
    execute pg_catalog.format('grant execute on function trunkline.is_ready_only(oid) to %I', (
        select pg_catalog.pg_get_userbyid(n.nspowner) from pg_catalog.pg_namespace n where n.nspname = 'trunkline'));
end
$do$;

-- Function trunkline.captured_root(i_table oid): the captured table that a table is a partition of; else the table
-- itself.
create or replace function trunkline.captured_root(i_table oid) returns oid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce((select k.root_oid from trunkline.captured_part k where k.part_oid = i_table), i_table);
end
$$;
revoke all on function trunkline.captured_root(oid) from public;

-- Function trunkline.outdated_writers(): the captured tables whose writers are not stored as the jobs' lists say now.
-- One pass over the lists: the ticker asks every few seconds.
-- Tables: reads captured, table_state.
create or replace function trunkline.outdated_writers() returns setof oid
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if not trunkline.knows_writers() then
        return;
    end if;
    return query
    with named (consumer, oid) as (
        -- By the catalog: to_regclass() fails where the schema may not be looked into.
        select s.consumer, coalesce(r.oid, s.target_oid)
          from trunkline.table_state s
          left join (pg_class r join pg_namespace n on n.oid = r.relnamespace)
            on n.nspname = coalesce(s.target_schema, s.schema_now, s.schema_name)
           and r.relname = coalesce(s.target_name, s.name_now, s.table_name)
    ), written (table_oid, writers) as (
        select trunkline.captured_root(n.oid), array_agg(distinct n.consumer order by n.consumer) from named n where n.oid is not null group by 1)
    select c.table_oid
      from trunkline.captured c
      left join written w on w.table_oid = c.table_oid
     where c.dropped_at is null
       and c.writers <> case when c.consumers = '{*}' and trunkline.stands_by(c.queue_id) then '{}' else coalesce(w.writers, '{}') end
     order by c.table_oid;
end
$$;
revoke all on function trunkline.outdated_writers() from public;

-- Function trunkline.knows_writers(): whether replay is installed here, and new enough to tell capture what it writes, and
-- from which nodes. Tables: reads component.
create or replace function trunkline.knows_writers() returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from trunkline.component c where c.name = 'subscriber' and c.step >= 28);
$$;
revoke all on function trunkline.knows_writers() from public;
