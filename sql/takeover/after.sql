-- Looks that nothing of PgQ is left, gives rights back that were granted by hand, and brings the queues up to date.
-- Last step of a takeover, see README.md.
-- Tables touched: grants on functions and event tables; takes a number of each event sequence.
do $do$
declare
    v_text  text;
    v_queue pgq.queue;
begin
    -- A function of PgQ that is left is there because an object depends on it, or was made by hand over PgQ's library.
    select string_agg(format('%s, used by %s', p.oid::regprocedure, coalesce(u.users, 'nothing')), '; '
                      order by p.oid::regprocedure::text)
      into v_text
      from pg_temp.trunkline_takeover o
      join pg_proc p on p.oid = to_regprocedure(o.signature) and o.source = coalesce(p.probin, '') || ' ' || p.prosrc
      join pg_language l on l.oid = p.prolang and l.lanname = 'c'
     cross join lateral (select string_agg(pg_describe_object(d.classid, d.objid, d.objsubid), ', ') as users
                           from pg_depend d where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid) u;
    if v_text is not null then
        raise exception 'functions of PgQ are in use that Trunkline does not have' using errcode = '2BP01',
            detail = v_text, hint = 'Drop what uses them, and run it again.';
    end if;
    for v_text in select unnest(o.rights) from pg_temp.trunkline_takeover o
                   where to_regprocedure(o.signature) is not null loop
        execute v_text;
    end loop;
    for v_queue in select * from pgq.queue q order by q.queue_id loop
        perform pgq.grant_perms(v_queue.queue_name);
        perform pgq.tune_storage(v_queue.queue_name);
        -- PgQ's last tick does not say which transactions were open. One number more, and the next look of a ticker
        -- makes a tick that does: no late commit waits for the idle period.
        perform nextval(v_queue.queue_event_seq::regclass);
    end loop;
    drop table pg_temp.trunkline_takeover;
end
$do$;
comment on schema pgq is 'Trunkline: event queues';
