-- Function trunkline.unready(i_queue): what a standby has yet to capture into its own queue of the set's name, so that it can
-- become the provider. Only what is in step: a copy that goes on would be logged as changes.
--
-- Result: one row an object.
--   kind         table or sequence: to be captured for the set; removed: a table that replay does not bring any more; unused: a
--                sequence that it does not carry over any more
--   schema_name, object_name   its name here
--   log_oid      the table's oid at the provider; null for the others
--   own_oid      its oid here
-- Empty where this node is no standby or has no such queue. Tables: reads role, position, table_state, sequence_state,
-- captured, captured_sequence. Users: the schema's owner.
create or replace function trunkline.unready(
    i_queue text, out kind text, out schema_name text, out object_name text, out log_oid oid, out own_oid oid)
returns setof record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_queue int4;
begin
    if to_regclass('trunkline.captured') is null or to_regclass('trunkline.table_state') is null then
        return;
    end if;
    select q.queue_id into v_queue from pgq.queue q where q.queue_name = i_queue;
    if v_queue is null
       or not exists (select from trunkline.role r where r.queue_name = i_queue and r.role = 'standby') then
        return;
    end if;
    return query
        select 'table'::text, t.own_schema, t.own_name, t.log_oid, t.own_oid
          from trunkline.set_tables(i_queue) t
         where t.state = 'ok' and t.own_oid is not null and t.is_whole
           and not exists (select from trunkline.captured c
                            where c.table_oid = t.own_oid and c.queue_id = v_queue and c.dropped_at is null
                              and '*' = any (c.consumers));
    return query
        select 'sequence'::text, s.schema_name, s.sequence_name, null::oid, c.oid
          from trunkline.sequence_state s
          join trunkline.position p on p.consumer = s.consumer and p.queue = i_queue
          join pg_namespace n on n.nspname = s.schema_name
          join pg_class c on c.relnamespace = n.oid and c.relname = s.sequence_name and c.relkind = 'S'
         where not exists (select from trunkline.captured_sequence k
                            where k.seq_oid = c.oid and k.queue_id = v_queue and '*' = any (k.consumers));
    return query
        select 'removed'::text, c.schema_name, c.table_name, null::oid, c.table_oid
          from trunkline.captured c
         where c.queue_id = v_queue and '*' = any (c.consumers)
           and not exists (select from trunkline.set_tables(i_queue) t
                            -- A table that is not found by its name may be this one, under its name of before.
                            where t.own_oid = c.table_oid or t.own_oid is null);
    return query
        select 'unused'::text, n.nspname::text, r.relname::text, null::oid, k.seq_oid
          from trunkline.captured_sequence k
          join pg_class r on r.oid = k.seq_oid
          join pg_namespace n on n.oid = r.relnamespace
         where k.queue_id = v_queue and '*' = any (k.consumers)
           and not exists (select from trunkline.sequence_state s join trunkline.position p on p.consumer = s.consumer
                            where p.queue = i_queue and s.schema_name = n.nspname and s.sequence_name = r.relname);
end
$$;
revoke all on function trunkline.unready(text) from public;

-- Function trunkline.set_tables(i_queue): the tables that replay brings here from the queue of a set, by their names and oids on
-- this node.
-- Result: one row a table; own_oid null: it is not there; is_whole false: it holds a part of the provider's rows or columns, or
-- rows of other providers, too (replay add --merge).
-- Tables: reads position, table_state and the catalog.
create or replace function trunkline.set_tables(
    i_queue text, out consumer text, out own_schema text, out own_name text, out own_oid oid, out log_oid oid, out state text,
    out is_whole bool, out ignored bigint, out logged_from jsonb, out origin_oids jsonb)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select s.consumer, w.own_schema, w.own_name, c.oid, s.provider_oid, s.state,
               s.filter is null and s.column_attnums is null and s.merge_filter is null, s.ignored, s.logged_from, s.origin_oids
          from trunkline.position p
          join trunkline.table_state s on s.consumer = p.consumer
         cross join lateral (select coalesce(s.target_schema, s.schema_now, s.schema_name) as own_schema,
                                    coalesce(s.target_name, s.name_now, s.table_name) as own_name) w
          left join (pg_class c join pg_namespace n on n.oid = c.relnamespace)
            on n.nspname = w.own_schema and c.relname = w.own_name
         where p.queue = i_queue
         order by w.own_schema, w.own_name;
end
$$;
revoke all on function trunkline.set_tables(text) from public;

-- Function trunkline.identities(i_queue): how the rows of a queue's tables are told apart, as add_table takes it.
-- Result: one row a captured table: its oid, the identity, and the columns where somebody has named them, else null.
-- Tables: reads captured. Users: pgq_admin.
create or replace function trunkline.identities(
    i_queue text, out table_oid oid, out identity text, out columns text[])
returns setof record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select c.table_oid, c.plan ->> 'identity',
               (select array_agg(a.attname::text order by w.place)
                  from jsonb_array_elements_text(nullif(c.plan -> 'wanted', 'null')) with ordinality w (attnum, place)
                  join pg_attribute a on a.attrelid = c.table_oid and a.attnum = w.attnum::int2)
          from trunkline.captured c join pgq.queue q on q.queue_id = c.queue_id
         where q.queue_name = i_queue and c.dropped_at is null;
end
$$;
revoke all on function trunkline.identities(text) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        grant execute on function trunkline.identities(text) to pgq_admin;
    end if;
end
$$;
