-- A queue from psql, while a ticker runs on the database:
--   psql -d app -f etc/examples/queue.sql
\set ON_ERROR_STOP on

select pgq.create_queue('jobs');
select pgq.register_consumer('jobs', 'mailer');

-- Produce: in a transaction of yours, one by one or many in one call. What is rolled back was never there.
begin;
select pgq.insert_event('jobs', 'welcome', 'alice@example.com');
select pgq.insert_events('jobs', array['welcome', 'goodbye'], array['bob@example.com', 'carol@example.com']);
commit;

-- The ticker makes the next batch within ticker_max_lag (3 s) of an event.
do $$
begin
    while (select ev_new > 0 from pgq.get_queue_info('jobs')) loop
        commit;
        perform pg_sleep(0.1);
    end loop;
end
$$;

-- Consume: open a batch, read it, ask for an event to come again in a minute, and finish it. next_batch opens the next
-- one, which may be empty (null: nothing new); this asks for one with an event at least.
select batch_id as batch from pgq.next_batch_custom('jobs', 'mailer', null, 1, null) \gset
select ev_id, ev_type, ev_data from pgq.get_batch_events(:batch);
select pgq.event_retry(:batch, ev_id, 60) from pgq.get_batch_events(:batch) where ev_type = 'goodbye';
select pgq.finish_batch(:batch);
