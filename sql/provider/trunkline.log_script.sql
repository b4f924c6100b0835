-- trunkline.begin_script(i_queue, i_id, i_digest): begins the transaction of a script of DDL that `replay execute` runs.
--
-- A queue may be the log of a set, and only the provider of the set takes DDL: the log of any other node has ended, and
-- nobody would read the event.
-- Result: a number of an event: what the transaction logs from here on has a greater one (trunkline.log_script).
-- Errors: 42704 no such queue; 42710 a script of that name was executed already, with what is known of it; 55000 this node
--         is not the provider; 25001 outside READ COMMITTED.
-- Tables: reads queue, role, script; takes a number of the event sequence. Users must not, but whom the owner allows it:
-- subscribers that allow it run the script.
create or replace function trunkline.begin_script(i_queue text, i_id text, i_digest text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_known trunkline.script;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'scripts are executed in READ COMMITTED transactions only' using errcode = '25001';
    end if;
    if not exists (select from pgq.queue q where q.queue_name = i_queue) then
        raise exception 'queue % does not exist', quote_literal(i_queue) using errcode = '42704',
            hint = 'Make it with `replay install` or `ticker install`.';
    end if;
    perform trunkline._takes_scripts(i_queue);
    -- Two commands with one name: the second one waits for the first.
    perform pg_advisory_xact_lock(hashtext('trunkline.script'), hashtext(i_id));
    select * into v_known from trunkline.script s where s.script_id = i_id order by s.number desc limit 1;
    if found then
        raise exception 'script % was executed already', quote_literal(i_id) using errcode = '42710',
            detail = format('It is %s since %s, by %s, with %s.', v_known.state,
                            to_char(v_known.changed_at, 'YYYY-MM-DD HH24:MI:SS TZ'),
                            concat_ws(', told by ', v_known.executed_by, v_known.told_by),
                            case when v_known.digest = i_digest then 'the same text' else 'another text' end),
            hint = 'Give another script another name: --id NAME.';
    end if;
    return trunkline.script_mark(i_queue);
end
$$;
revoke all on function trunkline.begin_script(text, text, text) from public;

-- trunkline._takes_scripts(i_queue): refuses a queue that is not the log of the provider of its set. The row of the role is
-- held until the transaction's end, so that a fence waits for the script, or the script for the fence. Tables: reads role.
create or replace function trunkline._takes_scripts(i_queue text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_role text;
begin
    if to_regclass('trunkline.role') is null then
        return;
    end if;
    select r.role into v_role from trunkline.role r where r.queue_name = i_queue for share;
    if v_role <> 'provider' then
        raise exception 'this node is % for queue %, and takes no scripts', v_role, quote_literal(i_queue)
            using errcode = '55000', hint = 'Execute it at the provider: trunkline status says who that is.';
    end if;
end
$$;
revoke all on function trunkline._takes_scripts(text) from public;

-- trunkline.script_mark(i_queue): a number of an event that all later ones are above. For the transaction of a script.
create or replace function trunkline.script_mark(i_queue text) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    select nextval(q.queue_event_seq::regclass) from pgq.queue q where q.queue_name = i_queue;
$$;
revoke all on function trunkline.script_mark(text) from public;

-- trunkline.script_tables(i_queue): the captured tables of the queue that the transaction has locked as DDL locks them: those
-- that a script has touched, with the parents of partitions. Result: [{"schema", "name", "oid"}, ...].
-- Tables: reads captured, captured_part, pg_locks.
create or replace function trunkline.script_tables(i_queue text) returns jsonb
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with locked as (
        select distinct l.relation
          from pg_locks l
         where l.locktype = 'relation' and l.pid = pg_backend_pid() and l.granted
           and l.database = (select d.oid from pg_database d where d.datname = current_database())
           and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                          'AccessExclusiveLock')
    )
    select coalesce(jsonb_agg(jsonb_build_object('schema', c.schema_name, 'name', c.table_name, 'oid', c.table_oid::bigint)
                              order by c.schema_name, c.table_name), '[]')
      from trunkline.captured c
      join pgq.queue q on q.queue_id = c.queue_id
     where q.queue_name = i_queue
       and (c.table_oid in (select relation from locked)
            or exists (select from trunkline.captured_part p
                        where p.root_oid = c.table_oid and p.part_oid in (select relation from locked)));
$$;
revoke all on function trunkline.script_tables(text) from public;

-- trunkline.script_tick(i_queue): makes a tick while another session's script holds its locks. All changes of the tables that the
-- script touches which were made before it are committed by then, and none was made after it: at this tick those tables
-- are as the script found them. Result: the tick's number; null: the queue makes no ticks now.
-- Tables: reads tick; makes one.
create or replace function trunkline.script_tick(i_queue text) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_before bigint;
    v_after  bigint;
begin
    select max(t.tick_id) into v_before
      from pgq.tick t join pgq.queue q on q.queue_id = t.tick_queue where q.queue_name = i_queue;
    perform trunkline.tick_now(i_queue);
    select max(t.tick_id) into v_after
      from pgq.tick t join pgq.queue q on q.queue_id = t.tick_queue where q.queue_name = i_queue;
    return case when v_after > coalesce(v_before, 0) then v_after end;
end
$$;
revoke all on function trunkline.script_tick(text) from public;

-- trunkline.put_script(i_queue, i_after, i_id, i_digest, i_body, i_tick, i_tables): the event of a script, at its place.
--
-- A reader must run the script before it sees what the script made of the tables, and after all changes that were there
-- before. Logged first, the event would stand before changes of writers that the script waited for. So it is logged
-- last, while the script still holds its locks, and what the transaction has logged since `i_after`, new shapes and marks,
-- is logged anew behind it. Nobody has seen the first ones: they are of this transaction.
--
-- Errors: 0A000 the script has written rows of captured tables. Each subscriber would write them twice: as rows, and by
--         the script, and where values are made (now(), a sequence) both would be others.
-- Tables: reads queue; deletes and inserts events of this transaction; writes script_log.
create or replace function trunkline.put_script(
    i_queue text, i_after bigint, i_id text, i_digest text, i_body text, i_tick bigint, i_tables jsonb) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue   pgq.queue;
    v_current text;
    v_written text;
    v_event   record;
    v_new     text := 'insert into %s (ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4) '
                      'values (nextval(%L), now(), txid_current(), $1, $2, $3, $4, $5, $6)';
    v_events  jsonb := '[]';
begin
    select * into v_queue from pgq.queue q where q.queue_name = i_queue;
    if not found then
        raise exception 'queue % does not exist', quote_literal(i_queue) using errcode = '42704';
    end if;
    execute format('select string_agg(distinct e.ev_extra1, '', '') from %s e where e.ev_txid = txid_current() and e.ev_id > $1 '
                   'and (e.ev_type in (''trunkline.1.rows'', ''trunkline.1.truncate'') '
                   'or e.ev_type = ''trunkline.1.mark'' and e.ev_extra3 = ''ignored'')', v_queue.queue_data_pfx)
      into v_written using i_after;
    if v_written is not null then
        raise exception 'the script writes rows of %', v_written using errcode = '0A000',
            hint = 'Rows of captured tables go to the subscribers by themselves: write them in a transaction of their own, '
                   'before or after the script.';
    end if;
    for v_event in
        execute format('with moved as (delete from %s e where e.ev_txid = txid_current() and e.ev_id > $1 returning e.*) '
                       'select m.* from moved m order by m.ev_id', v_queue.queue_data_pfx) using i_after
    loop
        v_events := v_events || jsonb_build_array(to_jsonb(v_event));
    end loop;
    v_current := format(v_new, v_queue.queue_data_pfx || '_' || v_queue.queue_cur_table, v_queue.queue_event_seq);
    execute v_current using 'trunkline.1.script'::text,
        jsonb_build_object('id', i_id, 'digest', i_digest, 'sql', i_body, 'tick', i_tick, 'tables', i_tables)::text,
        i_id, null::text, null::text, null::text;
    insert into trunkline.script_log as l (queue, script_id, digest, tick_id, tables)
    values (i_queue, i_id, i_digest, i_tick, i_tables)
    on conflict (queue, script_id, digest) do update
       set txid = excluded.txid, tick_id = excluded.tick_id, tables = excluded.tables;
    for v_event in
        select e.ev_type, e.ev_data, e.ev_extra1, e.ev_extra2, e.ev_extra3, e.ev_extra4
          from jsonb_array_elements(v_events) with ordinality a (event, place)
         cross join lateral jsonb_to_record(a.event)
               e (ev_type text, ev_data text, ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text)
         order by a.place
    loop
        execute v_current using v_event.ev_type, v_event.ev_data, v_event.ev_extra1, v_event.ev_extra2, v_event.ev_extra3,
                                v_event.ev_extra4;
    end loop;
end
$$;
revoke all on function trunkline.put_script(text, bigint, text, text, text, bigint, jsonb) from public;

-- trunkline.log_script(i_queue, i_after, i_id, i_digest, i_body, i_tick, i_tables, i_made, i_told_by, i_logs): ends the
-- transaction of a script: records that it was executed, and where i_logs is true logs it (trunkline.put_script). Result: none.
-- Errors: as put_script and begin_script. Tables: inserts into script.
-- Users must not, but whom the owner allows it: see begin_script.
create or replace function trunkline.log_script(
    i_queue text, i_after bigint, i_id text, i_digest text, i_body text, i_tick bigint, i_tables jsonb, i_made jsonb,
    i_told_by text, i_logs bool) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform trunkline._takes_scripts(i_queue);
    if i_logs then
        perform trunkline.put_script(i_queue, i_after, i_id, i_digest, i_body, i_tick, i_tables);
    end if;
    insert into trunkline.script (script_id, digest, body, state, queue, tick_id, tables, made, told_by)
    values (i_id, i_digest, i_body, 'done', i_queue, i_tick, i_tables, i_made, i_told_by);
end
$$;
revoke all on function trunkline.log_script(text, bigint, text, text, text, bigint, jsonb, jsonb, text, bool) from public;

-- trunkline.scripts(i_queue): the scripts of a queue that were executed here, without their texts: those that were executed here
-- first, and those that came through the queue while this node followed another one of its set. Users: pgq_admin.
create or replace function trunkline.scripts(i_queue text)
returns table (number bigint, script_id text, digest text, state text, error text, advice text, executed_by text, told_by text,
               changed_at timestamptz, made jsonb)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select o.number, o.script_id, o.digest, o.state, o.error, o.advice, o.executed_by, o.told_by, o.changed_at, o.made
      from (select distinct on (s.script_id, s.digest) s.*
              from trunkline.script s
             where s.queue = i_queue and (s.consumer = '' or s.state = 'done')
             -- What it has made is in the row of the consumer that has executed it.
             order by s.script_id, s.digest, s.consumer = '' desc, s.made <> '[]' desc, s.number) o
     order by o.number;
$$;
revoke all on function trunkline.scripts(text) from public;
grant execute on function trunkline.scripts(text) to pgq_admin;

-- trunkline.knows_script(i_queue, i_id, i_digest): whether this node has logged a script into a queue, as the one that has
-- executed it first, or passed it on. A reader asks before it runs what an event says: who may write events may not write
-- here. Tables: reads script_log. Users: pgq_admin.
create or replace function trunkline.knows_script(i_queue text, i_id text, i_digest text) returns bool
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from trunkline.script_log l
                    where l.queue = i_queue and l.script_id = i_id and l.digest = i_digest);
$$;
revoke all on function trunkline.knows_script(text, text, text) from public;
grant execute on function trunkline.knows_script(text, text, text) to pgq_admin;

-- trunkline.logged_scripts(i_queue, i_tick): the scripts of a queue that the caller's snapshot shows. is_after: a tick does
-- not show it, so who stands at the tick has not come to it; a tick that is unknown shows none. body: the text, where
-- is_after. Tables: reads script_log, script, tick. Users: pgq_admin.
create or replace function trunkline.logged_scripts(i_queue text, i_tick bigint)
returns table (script_id text, digest text, tick_id bigint, tables jsonb, is_after bool, body text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select l.script_id, l.digest, l.tick_id, l.tables, a.is_after,
           case when a.is_after then (select max(s.body) from trunkline.script s
                                       where s.script_id = l.script_id and s.digest = l.digest) end
      from trunkline.script_log l
     cross join lateral (
           select not coalesce((select txid_visible_in_snapshot(l.txid, t.tick_snapshot)
                                  from pgq.tick t join pgq.queue q on q.queue_id = t.tick_queue
                                 where q.queue_name = i_queue and t.tick_id = i_tick), false) as is_after) a
     where l.queue = i_queue
     order by l.txid, l.script_id;
$$;
revoke all on function trunkline.logged_scripts(text, bigint) from public;
grant execute on function trunkline.logged_scripts(text, bigint) to pgq_admin;
