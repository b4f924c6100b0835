-- Rights in schema pgq: nobody may call a function but by what stands here. Run last, after every change of functions.
-- Everybody reads where queues and consumers stand, readers the events, too. Admins may mend rows, but for what names a
-- queue's tables and sequences: functions of the owner use those names.
-- Tables touched: grants on all tables and functions of the schema.
do $$
declare
    v_grant record;
    v_function regprocedure;
begin
    for v_function in
        select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'pgq'::regnamespace
    loop
        execute pg_catalog.format('revoke all on function %s from public, pgq_reader, pgq_writer, pgq_admin', v_function);
        for v_grant in
            select r.role_name
              from (values
                ('public',     '{version,get_queue_info,get_consumer_info}'::name[]),
                ('pgq_reader', '{register_consumer,register_consumer_at,unregister_consumer,next_batch,
                                 next_batch_info,next_batch_custom,finish_batch,get_batch_info,get_batch_events,get_batch_cursor,
                                 batch_event_sql,batch_event_tables,event_retry,batch_retry,force_tick,
                                 find_tick_helper,seq_getval,quote_fqname,snapshot_contains,get_holder_info,
                                 _events_from}'),
                ('pgq_writer', '{insert_event,insert_events,current_event_table,jsontriga,logutriga,sqltriga,
                                 _log_change,_log_truncate,_refuse_change,_trigger_arguments,_name_list,
                                 _trigger_columns,_pin_output,_trigger_expression,_trigger_condition,_change_row,
                                 _change_sql,_change_type,_urlencode,quote_fqname}'),
                ('pgq_admin',  '{create_queue,drop_queue,set_queue_config,insert_event_raw,event_retry_raw,ticker,
                                 queues_to_tick,maint_retry_events,maint_rotate_tables_step1,
                                 maint_rotate_tables_step2,maint_truncate_tables,maint_reclaim_ticks,
                                 maint_retention,maint_operations,adopt_queue,maint_tables_to_vacuum,grant_perms,
                                 _grant_perms_from,tune_storage,events_sql,seq_setval,upgrade_schema}')
              ) r (role_name, functions)
             where (select p.proname from pg_catalog.pg_proc p where p.oid = v_function) = any (r.functions)
        loop
            execute pg_catalog.format('grant execute on function %s to %s', v_function, v_grant.role_name);
        end loop;
    end loop;
end
$$;
revoke all on pgq.queue, pgq.consumer, pgq.tick, pgq.subscription, pgq.event_template, pgq.retry_queue
  from public, pgq_reader, pgq_writer, pgq_admin;
grant select on pgq.queue, pgq.consumer, pgq.tick, pgq.subscription to public, pgq_reader, pgq_admin;
grant select on pgq.event_template to pgq_reader;
grant insert, update, delete on pgq.consumer, pgq.tick, pgq.subscription to pgq_admin;
grant select, insert, update, delete on pgq.retry_queue to pgq_admin;
grant update (queue_rotation_period, queue_external_ticker, queue_disable_insert, queue_ticker_paused,
              queue_ticker_max_count, queue_ticker_max_lag, queue_ticker_idle_period, queue_per_tx_limit,
              queue_extra_maint, queue_max_tables, queue_retention_age, queue_retention_bytes,
              queue_retention_action) on pgq.queue to pgq_admin;
revoke all on sequence pgq.batch_id_seq from public, pgq_reader;
