-- Consumers: register, batches, retry, information.

select pgq.create_queue('q')

select pgq.set_queue_config('q', 'ticker_max_lag', '0')

select pgq.set_queue_config('q', 'ticker_max_count', '1')

select pgq.set_queue_config('q', 'ticker_idle_period', '1 hour')

select pgq.insert_event('q', 'before', 'anybody')

select pgq.force_tick('q')

select pgq.ticker('q')

select pgq.register_consumer('nope', 'c')

select pgq.register_consumer(null, 'c')

select pgq.register_consumer('q', null)

select pgq.register_consumer('q', 'c')

select pgq.register_consumer('q', 'c')

select pgq.register_consumer('q', '')

select pgq.register_consumer_at('q', 'at', 2)

select pgq.register_consumer_at('q', 'at', 2)

select pgq.register_consumer_at('q', 'at', null)

select pgq.register_consumer_at('q', 'at', 77)

select pgq.register_consumer_at('q', 'at2', 77)

select pgq.register_consumer_at('q', 'at2', 0)

select pgq.register_consumer_at('q', 'at2', -1)

select pgq.register_consumer_at('nope', 'at2', 1)

select sub_id, sub_queue, sub_consumer, sub_last_tick, sub_active, sub_batch, sub_next_tick from pgq.subscription order by 1

select * from pgq.consumer order by 1

select pgq.unregister_consumer('q', 'nope')

select pgq.unregister_consumer('nope', 'c')

select pgq.unregister_consumer(null, null)

select pgq.unregister_consumer('q', '')

select * from pgq.get_consumer_info()

select * from pgq.get_consumer_info('q')

select * from pgq.get_consumer_info('q', 'c')

select * from pgq.get_consumer_info('q', 'nope')

select * from pgq.get_consumer_info('nope')

select * from pgq.get_consumer_info(null)

select * from pgq.get_consumer_info(null, 'c')

select * from pgq.get_consumer_info(null, null)

select pgq.next_batch('q', 'c')

select * from pgq.next_batch_info('q', 'c')

select * from pgq.next_batch_custom('q', 'c', null, null, null)

select * from pgq.next_batch_custom('q', 'c', '1 hour', 10, '1 hour')

select pgq.next_batch('q', 'nope')

select pgq.next_batch('nope', 'c')

select pgq.next_batch(null, 'c')

select pgq.next_batch('q', null)

select pgq.finish_batch(1)

select pgq.finish_batch(null)

select pgq.get_batch_events(1)

select pgq.get_batch_events(null)

select * from pgq.get_batch_info(1)

select * from pgq.get_batch_info(null)

select pgq.batch_event_sql(1)

select pgq.batch_event_tables(1)

select pgq.event_retry(1, 1, 10)

select pgq.event_retry(1, 1, now())

select pgq.batch_retry(1, 10)

select pgq.batch_retry(null, 10)

select * from pgq.get_batch_cursor(1, 'c', 10)

select pgq.insert_event('q', 'first', 'data')

select pgq.insert_event('q', null, null)

select pgq.insert_event('q', 'all', 'data', 'e1', 'e2', 'e3', 'e4')

select pgq.insert_event('q', '', '', '', '', '', '')

select pgq.insert_event(null, 'a', 'b')

select pgq.insert_event('nope', 'a', 'b')

select pgq.insert_event('nope', 'a', 'b', null, null, null, null)

select pgq.insert_event('Q', 'a', 'b')

select pgq.insert_event(queue_name := 'q', ev_type := 'named', ev_data := 'x')

select pgq.insert_event_raw('q', null, null, null, null, 'raw', 'x', null, null, null, null)

select pgq.insert_event_raw('q', 100, '2020-01-01', null, 3, 'raw with all', 'x', 'e1', null, null, 'e4')

select pgq.insert_event_raw('nope', null, null, null, null, 'raw', 'x', null, null, null, null)

select pgq.insert_event_raw(null, null, null, null, null, 'raw', 'x', null, null, null, null)

select ev_id, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4 from pgq.event_1 order by 1

select pgq.seq_getval('pgq.event_1_id_seq')

select pgq.ticker('q')

select pgq.ticker('q')

select pgq.ticker('nope')

select pgq.ticker(null)

select tick_id, tick_event_seq from pgq.tick where tick_id > 1 order by 1

select * from pgq.get_queue_info('q')

select * from pgq.get_consumer_info('q', 'c')

select * from pgq.next_batch_custom('q', 'c', '1 hour', null, null)

select * from pgq.next_batch_custom('q', 'c', null, 100, null)

select * from pgq.next_batch_custom('q', 'c', null, null, '1 hour')

select * from pgq.next_batch_custom('q', 'c', null, 100, '1 hour')

select * from pgq.next_batch_info('q', 'c')

select * from pgq.next_batch_info('q', 'c')

select pgq.next_batch('q', 'c')

select * from pgq.next_batch_custom('q', 'c', '1 hour', 100, '1 hour')

select * from pgq.get_batch_info(1)

select * from pgq.get_consumer_info('q', 'c')

select * from pgq.get_batch_events(1)

select * from pgq.get_batch_events(1) where ev_type = 'all'

--! differs all_tables
--! theirs batch_event_tables text
--! theirs pgq.event_1_0
--! ours batch_event_tables text
--! ours pgq.event_1_0
--! ours pgq.event_1_1
--! ours pgq.event_1_2
select pgq.batch_event_tables(1)

begin

select ev_id, ev_type from pgq.get_batch_cursor(1, 'cur', 2)

fetch 1 from cur

fetch 100 from cur

fetch 1 from cur

select * from pgq.get_batch_cursor(1, 'cur2', 1, $$ev_type like 'raw%'$$)

fetch 100 from cur2

select ev_id from pgq.get_batch_cursor(1, 'cur3', 100)

fetch 1 from cur3

select ev_id from pgq.get_batch_cursor(1, 'cur4', 0)

fetch 2 from cur4

close cur4

move backward 1 in cur3

rollback

begin

select ev_id from pgq.get_batch_cursor(1, 'same', 1)

select ev_id from pgq.get_batch_cursor(1, 'same', 1)

rollback

begin

select ev_id from pgq.get_batch_cursor(null, 'c', 1)

select ev_id from pgq.get_batch_cursor(1, null, 1)

select ev_id from pgq.get_batch_cursor(1, 'c', null)

select ev_id from pgq.get_batch_cursor(1, 'c', null, 'true')

select ev_id from pgq.get_batch_cursor(1, 'c2', 2, null)

select ev_id from pgq.get_batch_cursor(1, 'c3', 2, 'nocolumn = 1')

rollback

begin

select ev_id from pgq.get_batch_cursor(1, 'neg', -5)

fetch 1 from neg

select ev_id from pgq.get_batch_cursor(99, 'unknown', 1)

rollback

select pgq.event_retry(1, 1, 0)

select pgq.event_retry(1, 1, 0)

select pgq.event_retry(1, 3, '2020-01-01'::timestamptz)

select pgq.event_retry(1, 3, 100)

select pgq.event_retry(1, 99999, 0)

select pgq.event_retry(1, null, 0)

select pgq.event_retry(null, 1, 0)

select pgq.event_retry(99, 1, 0)

select pgq.event_retry(1, 100, '2020-01-02'::timestamptz)

select ev_queue, ev_id, ev_owner, ev_retry, ev_txid, ev_type, ev_data, ev_extra1, ev_extra4 from pgq.retry_queue order by ev_id

select pgq.maint_retry_events()

select pgq.maint_retry_events()

select ev_id, ev_owner, ev_retry, ev_type, ev_data from pgq.event_1 where ev_owner is not null order by 1

select pgq.finish_batch(1)

select pgq.finish_batch(1)

select pgq.event_retry(1, 1, 0)

select * from pgq.get_consumer_info('q', 'c')

select pgq.next_batch('q', 'c')

select pgq.ticker()

select pgq.next_batch('q', 'c')

select ev_id, ev_retry, ev_type, ev_data from pgq.get_batch_events(2)

select pgq.next_batch('q', 'at')

select ev_id, ev_retry, ev_type, ev_data from pgq.get_batch_events(3)

select pgq.finish_batch(3)

select pgq.next_batch('q', 'at')

select ev_id, ev_retry, ev_type, ev_data from pgq.get_batch_events(4)

select pgq.batch_retry(4, 0)

select pgq.batch_retry(2, 0)

select pgq.batch_retry(2, 0)

select pgq.batch_retry(2, null)

select pgq.event_retry_raw('q', 'c', now(), 555, now(), 4, 't', 'd', 'e1', 'e2', 'e3', 'e4')

select pgq.event_retry_raw('q', 'c', '2020-01-01', null, null, null, 't', 'd', null, null, null, null)

select pgq.event_retry_raw('q', 'c', '2020-01-01', null, now(), null, 't', 'd', null, null, null, null)

select pgq.event_retry_raw('q', 'nope', now(), 555, now(), 4, 't', 'd', 'e1', 'e2', 'e3', 'e4')

select pgq.event_retry_raw('nope', 'c', now(), 555, now(), 4, 't', 'd', 'e1', 'e2', 'e3', 'e4')

select pgq.event_retry_raw('q', 'c', null, 556, now(), 4, 't', 'd', null, null, null, null)

select ev_retry_after, ev_id, ev_time, ev_retry, ev_type, ev_extra4 from pgq.retry_queue order by ev_id

select pgq.maint_retry_events()

select pgq.register_consumer_at('q', 'at', 2)

select pgq.finish_batch(4)

select sub_last_tick, sub_batch, sub_next_tick from pgq.subscription order by sub_id

select pgq.register_consumer_at('q', 'c', 2)

select pgq.finish_batch(2)

begin

select pgq.insert_event('q', 'same transaction', 'x')

select pgq.force_tick('q')

select pgq.next_batch('q', 'c')

rollback

select pgq.force_tick('nope')

select pgq.force_tick(null)

select pgq.force_tick('q')

select pgq.ticker('q') > 0 as ticked

select pgq.set_queue_config('q', 'ticker_paused', '1')

select pgq.ticker('q')

select pgq.force_tick('q') is not null as some

select pgq.ticker()

select pgq.set_queue_config('q', 'ticker_paused', '0')

select pgq.set_queue_config('q', 'external_ticker', '1')

select pgq.ticker('q')

select pgq.ticker('nope', 100, now(), 100)

select pgq.ticker('q', 100, '2020-01-01', 100000)

select tick_id, tick_time, tick_event_seq from pgq.tick where tick_id = 100

select pgq.seq_getval('pgq.event_1_id_seq'), pgq.seq_getval('pgq.event_1_tick_seq')

select pgq.set_queue_config('q', 'ticker_paused', '1')

select pgq.ticker('q', 101, now(), 100001)

select pgq.set_queue_config('q', 'ticker_paused', '0')

select pgq.set_queue_config('q', 'external_ticker', '0')

select pgq.ticker('q', 102, now(), 100002)

update pgq.queue set queue_per_tx_limit = 2 where queue_name = 'q'

select pgq.insert_event('q', 'limited', '1')

select pgq.insert_event('q', 'limited', i::text) from generate_series(1, 2) i

select pgq.insert_event('q', 'limited', i::text) from generate_series(1, 3) i

update pgq.queue set queue_per_tx_limit = 0 where queue_name = 'q'

select pgq.insert_event('q', 'limited', '1')

update pgq.queue set queue_per_tx_limit = null where queue_name = 'q'

select pgq.insert_event('q', 'free', i::text) from generate_series(1, 3) i

select pgq.maint_tables_to_vacuum()

select * from pgq.find_tick_helper(1, 1, now(), 1, 1, '0')

select * from pgq.find_tick_helper(1, 1, now(), 1, null, null)

select * from pgq.find_tick_helper(1, 100000, now(), 1, 1, '0')

select pgq.drop_queue('q')

select pgq.drop_queue('q', false)

select pgq.unregister_consumer('q', 'at')

select pgq.unregister_consumer('q', 'at')

select pgq.drop_queue('q', true)

select * from pgq.consumer

select count(*) from pgq.retry_queue

select pgq.create_queue('q')

select queue_id, queue_data_pfx from pgq.queue

create table public.one (id int, v text)

grant select on public.one to public

grant update, delete on public.one to pgq_writer with grant option

create table public.two (like public.one)

select pgq._grant_perms_from('public', 'one', 'public', 'two')

select pgq._grant_perms_from('public', 'nope', 'public', 'two')

select pgq._grant_perms_from(null, 'one', 'public', 'two')

select a.grantee::regrole::text, a.privilege_type, a.is_grantable from pg_class c, aclexplode(c.relacl) a where c.oid = 'public.two'::regclass order by 1, 2
