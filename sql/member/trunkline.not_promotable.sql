-- Function trunkline.not_promotable(i_queue, i_set): why this node cannot become the provider of a set now.
--
-- Arguments: i_set what the provider has (trunkline.set_state), so that nothing of it is missing here; null: not looked at.
-- Result: a row a reason, with what to do; none: it can.
-- Tables: reads role, position, table_state, sequence_state, captured, captured_sequence and the catalog. Users: the
-- schema's owner, who may grant EXECUTE.
create or replace function trunkline.not_promotable(i_queue text, i_set jsonb default null, out reason text, out hint text)
returns setof record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_role  text := (select r.role from trunkline.my_role(i_queue) r);
    v_queue int4;
begin
    if v_role is distinct from 'standby' then
        return query select format('it is %s', case v_role when 'copy' then 'a copy that was restored elsewhere'
                                                           when 'reader' then 'a reader'
                                                           when 'provider' then 'the provider'
                                                           when 'fenced' then 'a fenced provider'
                                                           else 'no standby of this set' end),
                            'A standby has standby = true in its config, and replay install has been run there.'::text;
        return;
    end if;
    if to_regclass('pgq.queue') is not null then
        select q.queue_id into v_queue from pgq.queue q where q.queue_name = i_queue;
    end if;
    if v_queue is null or to_regclass('trunkline.captured') is null then
        return query select format('queue %s does not exist there', quote_literal(i_queue)),
                            'Name it in the queues of the ticker there, and run: ticker install'::text;
        return;
    end if;
    return query
        select format('%s jobs bring its tables', count(*)), 'One job brings the tables of a set.'::text
          from trunkline.position p where p.queue = i_queue having count(*) <> 1;
    return query
        select 'its replay is paused'::text, 'replay resume'::text
          from trunkline.position p where p.queue = i_queue and p.paused;
    return query
        select format('table %s is %s', quote_ident(t.own_schema) || '.' || quote_ident(t.own_name),
                      case when t.own_oid is null then 'missing'
                           when exists (select from trunkline.table_state s
                                         where s.consumer = t.consumer and s.provider_oid = t.log_oid and s.merge_filter is not null)
                               then 'merged with rows of other providers (replay add --merge)'
                           when not t.is_whole then 'there in part only'
                           else format('not in step (%s)', t.state) end),
               'replay tables says what each table waits for.'::text
          from trunkline.set_tables(i_queue) t
         where t.own_oid is null or not t.is_whole or t.state <> 'ok';
    return query
        select format('changes of table %I.%I were left out there, since its identity is insert-only', t.own_schema, t.own_name),
               'replay resync, or give it another identity.'::text
          from trunkline.set_tables(i_queue) t where t.ignored > 0;
    return query
        select 'some of its tables can be written there still'::text, 'trunkline check fence names them.'::text
         where not trunkline.stands_as_asked(i_queue);
    return query
        select format('the provider''s table %s is written by replication job %s there', w.name, w.writers),
               'Its changes would go on at the former provider. Remove it from that job.'::text
          from jsonb_to_recordset(i_set -> 'written') w (name text, writers text);
    return query
        select format('table %s is not captured there yet', t.own_oid::regclass),
               'The node''s replay captures it: its log says why it cannot.'::text
          from trunkline.set_tables(i_queue) t
         where t.own_oid is not null and t.is_whole and t.state = 'ok'
           and not exists (select from trunkline.captured c
                            where c.table_oid = t.own_oid and c.queue_id = v_queue and c.dropped_at is null
                              and '*' = any (c.consumers));
    return query
        select format('capture of table %s has a problem: %s', c.table_oid::regclass, c.problem), null::text
          from trunkline.captured c
         where c.queue_id = v_queue and c.problem is not null and c.dropped_at is null;
    return query
        select format('sequence %I.%I: %s', s.schema_name, s.sequence_name, w.why), 'replay seqs'::text
          from trunkline.sequence_state s
          join trunkline.position p on p.consumer = s.consumer and p.queue = i_queue
         cross join lateral (
               select case when s.error is not null then s.error
                           when to_regclass(format('%I.%I', s.schema_name, s.sequence_name)) is null then 'it is missing'
                           when not has_sequence_privilege(format('%I.%I', s.schema_name, s.sequence_name), 'update')
                               then format('role %I may not set it', current_user) end as why) w
         where w.why is not null;
    return query
        select format('sequence %s of table %s is not carried over', o.sequence::regclass, o.tables),
               'replay add-seq --all'::text
          from (select q.sequence, min(q.table_oid::regclass::text) as tables
                  from trunkline.sequences_in_use(i_queue) q
                 where not exists (select from trunkline.sequence_state s
                                     join trunkline.position p on p.consumer = s.consumer and p.queue = i_queue
                                    where to_regclass(format('%I.%I', s.schema_name, s.sequence_name)) = q.sequence)
                 group by 1) o;
    return query
        select o.reason, o.hint from trunkline.fence_obstacles(i_queue) o where o.code in ('42501', '0A000');
    return query
        select format('the provider''s table %I.%I is not replicated there', w.schema, w.name), 'replay add'::text
          from jsonb_to_recordset(i_set -> 'tables') w (oid oid, schema text, name text)
         where not exists (select from trunkline.set_tables(i_queue) t where t.log_oid = w.oid);
    return query
        select format('the provider''s sequence %I.%I is not carried over there', w.schema, w.name), 'replay add-seq'::text
          from jsonb_to_recordset(i_set -> 'sequences') w (schema text, name text)
         where not exists (select from trunkline.sequence_state s join trunkline.position p on p.consumer = s.consumer
                            where p.queue = i_queue and s.schema_name = w.schema and s.sequence_name = w.name);
end
$$;
revoke all on function trunkline.not_promotable(text, jsonb) from public;

-- Function trunkline.sequences_in_use(i_queue): the sequences from which columns of a set's tables get their values here: those
-- that a column owns, and those that a default names. Tables: reads the catalog, and what trunkline.levels reads.
create or replace function trunkline.sequences_in_use(i_queue text, out sequence oid, out table_oid oid)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        with level as (select l.table_oid from trunkline.levels(i_queue) l)
        select d.objid, l.table_oid
          from level l
          join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = l.table_oid
                          and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
          join pg_class c on c.oid = d.objid and c.relkind = 'S'
         union
        select c.oid, l.table_oid
          from level l
          join pg_attrdef f on f.adrelid = l.table_oid
          join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid and d.refclassid = 'pg_class'::regclass
          join pg_class c on c.oid = d.refobjid and c.relkind = 'S';
end
$$;
revoke all on function trunkline.sequences_in_use(text) from public;

-- Function trunkline.set_state(i_queue): what a provider has that its successor must have.
-- Result: an object: written: tables that a job of replay writes, a list of {name, writers}; tables: a list of {oid, schema,
-- name}; sequences: a list of {schema, name, value, called}, as each
-- sequence holds them. Behind a fence no row comes any more; nextval() by itself is not fenced.
-- Tables: reads captured, captured_sequence, the sequences, and what trunkline.writers_of reads. Users: pgq_admin.
create or replace function trunkline.set_state(i_queue text) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_sequences jsonb := '[]';
    v_sequence  record;
    v_value     bigint;
    v_called    bool;
begin
    for v_sequence in
        select n.nspname, c.relname
          from trunkline.captured_sequence s
          join pgq.queue q on q.queue_id = s.queue_id
          join pg_class c on c.oid = s.seq_oid
          join pg_namespace n on n.oid = c.relnamespace
         where q.queue_name = i_queue
         order by 1, 2
    loop
        execute format('select s.last_value, s.is_called from %I.%I s', v_sequence.nspname, v_sequence.relname)
           into v_value, v_called;
        v_sequences := v_sequences || jsonb_build_object(
            'schema', v_sequence.nspname, 'name', v_sequence.relname, 'value', v_value, 'called', v_called);
    end loop;
    return jsonb_build_object('sequences', v_sequences, 'written', coalesce((
        select jsonb_agg(jsonb_build_object('name', w.name, 'writers', array_to_string(w.writers, ', ')) order by w.name)
          from (select c.table_oid::regclass::text, trunkline.writers_of(c.table_oid)
                  from trunkline.captured c join pgq.queue q on q.queue_id = c.queue_id
                 where q.queue_name = i_queue and c.dropped_at is null) w (name, writers)
         where w.writers <> '{}'), '[]'), 'tables', coalesce((
        select jsonb_agg(jsonb_build_object('oid', c.table_oid::bigint, 'schema', n.nspname, 'name', r.relname)
                         order by n.nspname, r.relname)
          from trunkline.captured c
          join pgq.queue q on q.queue_id = c.queue_id
          join pg_class r on r.oid = c.table_oid
          join pg_namespace n on n.oid = r.relnamespace
         where q.queue_name = i_queue and c.dropped_at is null), '[]'));
end
$$;
revoke all on function trunkline.set_state(text) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        grant execute on function trunkline.set_state(text) to pgq_admin;
    end if;
end
$$;
