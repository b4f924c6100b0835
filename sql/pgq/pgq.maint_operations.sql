-- pgq.maint_operations(): what a maintenance run has to call now, in order.
-- Result: setof (func_name, func_arg): a function of no or one argument; one that gives 1 wants to be called again at
-- once; 'vacuum' with a table's name is a statement, not a function. Each call is a transaction of its own.
-- The caller runs them with its own rights. So of queue_extra_maint, which admins of the queue write, only pgq.maint_... and
-- functions of pgq_node and londiste are listed, and these two schemas are looked into only if they belong to somebody who
-- may have those rights (pgq._may_call); never functions of schema trunkline, some of which run their argument.
-- Tables touched: reads queue and tick, and the tables of pgq_node and londiste where they exist.
create or replace function pgq.maint_operations(out func_name text, out func_arg text)
returns setof record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_due  int4 := 0;
    v_node bool := pgq._may_call('pgq_node');
    v_more text := concat_ws('|', '^pgq[.]maint_[a-z0-9_]+$', case when v_node then '^pgq_node[.][a-z_][a-z0-9_]*$' end,
                             case when pgq._may_call('londiste') then '^londiste[.][a-z_][a-z0-9_]*$' end);
begin
    for func_name, func_arg in
        select 'pgq.maint_rotate_tables_step1', q.queue_name from pgq.queue q
         where q.queue_switch_step2 is not null and pgq._is_rotation_due(q)
         order by q.queue_name
    loop
        v_due := v_due + 1;
        return next;
    end loop;
    if v_due > 0 or exists (select from pgq.queue q where q.queue_switch_step2 is null) then
        func_name := 'pgq.maint_rotate_tables_step2';
        func_arg := null;
        return next;
    end if;
    return query
        select 'pgq.' || o.name, q.queue_name
          from pgq.queue q
         cross join lateral (values
                ('maint_truncate_tables', q.queue_ntables > 3),
                ('maint_reclaim_ticks', v_due > 0
                    or txid_snapshot_xmin((select t.tick_snapshot from pgq.tick t
                                            where t.tick_queue = q.queue_id and t.tick_id >= q.queue_first_tick
                                            order by t.tick_queue, t.tick_id limit 1)) < q.queue_tick_txid),
                ('maint_retention', (q.queue_retention_age > interval '0' or q.queue_retention_bytes > 0)
                    and exists (select from pgq.subscription s where s.sub_queue = q.queue_id))
               ) o (name, is_due)
         where o.is_due
         order by o.name desc, q.queue_name;
    return query
        select e.name, q.queue_name
          from pgq.queue q, unnest(q.queue_extra_maint) with ordinality e (name, place)
         where e.name ~ v_more
         order by q.queue_name, e.place;
    return query select 'vacuum'::text, v.name from pgq.maint_tables_to_vacuum() v (name);
    if v_node and to_regproc('pgq_node.maint_watermark') is not null then
        return query execute
            'select ''pgq_node.maint_watermark''::text, n.queue_name::text from pgq_node.node_info n '
            'where n.node_type = ''root'' order by 2';
    end if;
    if v_more !~ 'londiste' then
        return;
    end if;
    if v_node and to_regproc('londiste.root_check_seqs') is not null then
        return query execute
            'select distinct ''londiste.root_check_seqs''::text, s.queue_name::text '
            'from londiste.seq_info s join pgq_node.node_info n on n.queue_name = s.queue_name '
            'where s.local and n.node_type = ''root'' order by 2';
    end if;
    if to_regproc('londiste.periodic_maintenance') is not null then
        return query select 'londiste.periodic_maintenance'::text, null::text;
    end if;
end
$$;
