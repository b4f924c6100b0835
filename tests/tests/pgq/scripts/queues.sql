-- Queues: make, configure, drop.

--! differs version
--! theirs version text
--! theirs 3.5
--! ours version text
--! ours 3.5-trunkline
select pgq.version()

select pgq.create_queue(null)

select pgq.create_queue('a')

select pgq.create_queue('a')

select pgq.create_queue('')

select pgq.create_queue('A queue.with "odd" ''name''%')

select * from pgq.get_queue_info()

select * from pgq.get_queue_info(null)

select * from pgq.get_queue_info('a')

select * from pgq.get_queue_info('nope')

select queue_id, queue_name, queue_ntables, queue_cur_table, queue_rotation_period, queue_external_ticker, queue_disable_insert, queue_ticker_paused, queue_ticker_max_count, queue_ticker_max_lag, queue_ticker_idle_period, queue_per_tx_limit, queue_data_pfx, queue_event_seq, queue_tick_seq, queue_extra_maint from pgq.queue order by 1

--! differs first_tick
--! theirs tick_queue int4, tick_id int8, tick_time timestamptz, tick_snapshot txid_snapshot, tick_event_seq int8
--! theirs 1 | 1 | <timestamptz> | <txid_snapshot> | 1
--! theirs 2 | 1 | <timestamptz> | <txid_snapshot> | 1
--! theirs 3 | 1 | <timestamptz> | <txid_snapshot> | 1
--! ours tick_queue int4, tick_id int8, tick_time timestamptz, tick_snapshot txid_snapshot, tick_event_seq int8
--! ours 1 | 1 | <timestamptz> | <txid_snapshot> | 0
--! ours 2 | 1 | <timestamptz> | <txid_snapshot> | 0
--! ours 3 | 1 | <timestamptz> | <txid_snapshot> | 0
select tick_queue, tick_id, tick_time, tick_snapshot, tick_event_seq from pgq.tick order by 1, 2

select pgq.drop_queue('nope')

select pgq.drop_queue(null)

select pgq.drop_queue(null, true)

select pgq.drop_queue('nope', true)

select pgq.drop_queue('nope', null)

select pgq.drop_queue('')

select pgq.set_queue_config('a', 'ticker_max_count', '10')

select pgq.set_queue_config('a', 'ticker_max_lag', '5 seconds')

select pgq.set_queue_config('a', 'ticker_idle_period', '10 minutes')

select pgq.set_queue_config('a', 'ticker_paused', 'true')

select pgq.set_queue_config('a', 'rotation_period', '3 hours')

select pgq.set_queue_config('a', 'external_ticker', 'f')

select pgq.set_queue_config('a', 'ticker_paused', 'no')

select * from pgq.get_queue_info('a')

select pgq.set_queue_config('a', 'ticker_max_count', null)

select pgq.set_queue_config('a', null, '1')

select pgq.set_queue_config(null, 'ticker_max_count', '1')

select pgq.set_queue_config('nope', 'ticker_max_count', '1')

select pgq.set_queue_config('nope', null, '1')

select pgq.set_queue_config('nope', 'nope', null)

select pgq.set_queue_config('a', 'nope', '1')

select pgq.set_queue_config('a', 'queue_ticker_max_count', '1')

select pgq.set_queue_config('a', 'name', 'x')

select pgq.set_queue_config('a', 'disable_insert', 'true')

select pgq.set_queue_config('a', 'TICKER_MAX_COUNT', '1')

select pgq.set_queue_config('a', 'ticker_max_count', 'many')

select pgq.set_queue_config('a', 'ticker_max_count', '1; drop table x')

select pgq.set_queue_config('a', 'ticker_max_lag', 'soon')

select pgq.set_queue_config('a', 'ticker_paused', 'perhaps')

--! differs ranges
--! theirs set_queue_config int4
--! theirs 1
--! ours ERROR 22023: value -1 s of ticker_max_lag is out of range: 0 to 1 day
select pgq.set_queue_config('a', 'ticker_max_lag', '-1 s')

--! differs ranges
--! theirs set_queue_config int4
--! theirs 1
--! ours ERROR 22023: value 0 of rotation_period is out of range: 1 second to 30 days
select pgq.set_queue_config('a', 'rotation_period', '0')

--! differs ranges
--! theirs set_queue_config int4
--! theirs 1
--! ours ERROR 22023: value 0 of ticker_max_count is out of range: 1 to 1000000
select pgq.set_queue_config('a', 'ticker_max_count', '0')

select pgq.current_event_table('a')

select pgq.current_event_table('nope')

select pgq.current_event_table(null)

update pgq.queue set queue_disable_insert = true where queue_name = 'a'

select pgq.current_event_table('a')

select pgq.insert_event('a', 't', 'd')

select pgq.insert_event_raw('a', null, now(), null, null, 't', 'd', null, null, null, null)

set session_replication_role = replica

select pgq.current_event_table('a')

select pgq.insert_event('a', 't', 'd')

select pgq.insert_event_raw('a', null, now(), null, null, 't', 'd', null, null, null, null)

set session_replication_role = local

select pgq.insert_event('a', 't', 'd')

reset session_replication_role

update pgq.queue set queue_disable_insert = false where queue_name = 'a'

select pgq.grant_perms('a')

select pgq.grant_perms('nope')

select pgq.grant_perms(null)

select pgq.tune_storage('a')

select pgq.tune_storage('nope')

select pgq.tune_storage(null)

select pgq.quote_fqname(n) from unnest(array['a', 'a.b', 'A.b', 'a.b.c', '', '.', 'a.', '.a', 'select.x', 'a b', '"q"', null]) n

select pgq.seq_getval('pgq.event_1_id_seq')

select pgq.seq_getval('pgq.nope')

select pgq.seq_getval('nope')

select pgq.seq_getval(null)

select pgq.seq_setval('pgq.event_1_id_seq', 5000)

select pgq.seq_getval('pgq.event_1_id_seq')

select pgq.seq_setval('pgq.event_1_id_seq', 10)

select pgq.seq_setval('pgq.event_1_id_seq', null)

select pgq.seq_setval(null, 10)

select pgq.seq_setval('pgq.event_1_id_seq', 5000000)

select pgq.insert_event('a', 't', 'd')

create sequence public.s

select pgq.seq_getval('s')

select pgq.seq_setval('s', 1)

select pgq.seq_getval('s')

select nextval('public.s')

create sequence public.by5 increment 5 start 10

select pgq.seq_getval('by5'), pgq.seq_getval('public.by5')

select pgq.seq_setval('by5', 12)

select nextval('public.by5')

create table public.notseq (last_value bigint)

select pgq.seq_getval('notseq')

select pgq.upgrade_schema()

select pgq.drop_queue('a')

select pgq.drop_queue('a')

select pgq.drop_queue('A queue.with "odd" ''name''%', false)

select pgq.drop_queue('', true)

select * from pgq.get_queue_info()

select relname from pg_class where relnamespace = 'pgq'::regnamespace and relname ~ '^event_[0-9]' order by 1
