-- Makes an installed PgQ 3 ready for our files. First step of a takeover, see README.md.
-- Schema pgq_ext is left as it is: it has nothing to do with queues, and our programs need none of ours.
-- Tables touched: pg_extension and what belongs to it; drops functions in schemas pgq and pgq_coop.
create temporary table trunkline_takeover (
    signature text   not null,
    -- The object's source, by which it is recognised later if nothing replaced it.
    source    text   not null,
    rights    text[] not null
) on commit drop;

do $do$
declare
    v_missing text;
    v_text    text;
    v_object  record;
    v_members oid[];
    v_ext     oid;
begin
    -- Writers must not wait behind us for others: whoever has read pgq.queue holds a lock on it until it ends.
    perform set_config('lock_timeout', '200ms', true);
    for v_text in select format('pgq.%I', c.relname) from pg_class c
                   where c.relnamespace = 'pgq'::regnamespace and c.relkind = 'r' and c.relname !~ '^event_[0-9]'
                   order by c.relname <> 'queue', c.relname loop
        begin
            execute format('lock table only %s in access exclusive mode', v_text);
        exception when lock_not_available then
            raise exception 'table % is in use', v_text using errcode = '55P03',
                hint = 'Transactions that have written or read events are open. When they have ended, run it again.';
        end;
    end loop;
    select string_agg(format('pgq.%s.%s', w.relation, w.attribute), ', ') into v_missing
      from (select r.relation, a.attribute
              from (values
                ('consumer', '{co_id,co_name}'::text[]),
                ('queue', '{queue_id,queue_name,queue_ntables,queue_cur_table,queue_rotation_period,queue_switch_step1,
                    queue_switch_step2,queue_switch_time,queue_external_ticker,queue_disable_insert,queue_ticker_paused,
                    queue_ticker_max_count,queue_ticker_max_lag,queue_ticker_idle_period,queue_per_tx_limit,
                    queue_data_pfx,queue_event_seq,queue_tick_seq,queue_extra_maint}'),
                ('tick', '{tick_queue,tick_id,tick_time,tick_snapshot,tick_event_seq}'),
                ('subscription', '{sub_id,sub_queue,sub_consumer,sub_last_tick,sub_active,sub_batch,sub_next_tick}'),
                ('event_template', '{ev_id,ev_time,ev_txid,ev_owner,ev_retry,ev_type,ev_data,ev_extra1,ev_extra2,
                    ev_extra3,ev_extra4}'),
                ('retry_queue', '{ev_retry_after,ev_queue,ev_id,ev_time,ev_owner,ev_retry}')
              ) r (relation, attributes), unnest(r.attributes) a (attribute)) w
     where not exists (select from pg_attribute a
                        where a.attrelid = to_regclass('pgq.' || w.relation) and a.attname = w.attribute
                          and not a.attisdropped);
    if v_missing is not null or to_regprocedure('pgq.maint_operations()') is null
       or to_regclass('pgq.batch_id_seq') is null then
        raise exception 'schema pgq is no PgQ 3' using errcode = '55000',
            detail = 'It lacks ' || coalesce(v_missing, 'pgq.maint_operations() or pgq.batch_id_seq') || '.',
            hint = 'An older PgQ has to be upgraded to 3 first; anything else called pgq has to be renamed or dropped.';
    end if;
    if exists (select from pg_attribute a where a.attrelid = 'pgq.queue'::regclass and a.attname = 'queue_epoch') then
        raise exception 'schema pgq is Trunkline''s already, made by CREATE EXTENSION pgq' using errcode = '55000',
            hint = 'Upgrade it with ALTER EXTENSION pgq UPDATE, and run CREATE EXTENSION trunkline for the rest.';
    end if;
    select string_agg(e.extname, ', ' order by e.extname) into v_text
      from pg_depend d join pg_extension e on e.oid = d.objid
     where d.classid = 'pg_extension'::regclass and d.refclassid = 'pg_extension'::regclass
       and d.refobjid = (select p.oid from pg_extension p where p.extname = 'pgq')
       and e.extname not in ('pgq_coop', 'pgq_ext');
    if v_text is not null then
        raise exception 'extension % needs the extension pgq', v_text using errcode = '2BP01',
            hint = 'What it replicates cannot be taken over. Drop it first (drop extension ... cascade), or keep PgQ: '
                   'the ticker ticks it as it is.';
    end if;

    -- A pgq_ext that stands alone stays an extension.
    v_ext := (select d.objid from pg_depend d join pg_extension e on e.oid = d.objid and e.extname = 'pgq_ext'
               where d.classid = 'pg_extension'::regclass and d.refclassid = 'pg_extension'::regclass
                 and d.refobjid = (select p.oid from pg_extension p where p.extname = 'pgq'));
    v_members := array(select d.objid from pg_extension e
                         join pg_depend d on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
                        where d.deptype = 'e' and d.classid = 'pg_proc'::regclass
                          and e.extname in ('pgq', 'pgq_coop'));
    for v_object in
        select e.extname, i.type, i.identity
          from pg_extension e
          join pg_depend d on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
         cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) i
         where e.extname in ('pgq', 'pgq_coop') or e.oid = v_ext
    loop
        execute format('alter extension %I drop %s %s', v_object.extname, v_object.type, v_object.identity);
    end loop;
    -- Extensions that need pgq are dropped before pgq.
    for v_text in select e.extname from pg_extension e where e.extname in ('pgq', 'pgq_coop') or e.oid = v_ext
                   order by e.extname desc loop
        execute format('drop extension %I', v_text);
    end loop;

    insert into pg_temp.trunkline_takeover
    select p.oid::regprocedure::text, coalesce(p.probin, '') || ' ' || p.prosrc,
           array(select format('grant execute on function %s to %I%s', p.oid::regprocedure, r.rolname,
                               case when a.is_grantable then ' with grant option' else '' end)
                   from aclexplode(p.proacl) a join pg_roles r on r.oid = a.grantee
                  where a.grantee <> p.proowner and r.rolname not in ('pgq_reader', 'pgq_writer', 'pgq_admin'))
      from pg_proc p
     where p.pronamespace in (select n.oid from pg_namespace n where n.nspname in ('pgq', 'pgq_coop'));
    for v_text in
        select p.oid::regprocedure::text from pg_proc p
         where p.oid = any (v_members)
           and not exists (select from pg_depend d where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid)
    loop
        execute format('drop function %s', v_text);
    end loop;
end
$do$;
