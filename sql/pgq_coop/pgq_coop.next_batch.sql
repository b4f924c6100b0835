-- pgq_coop.next_batch(i_queue_name, i_consumer_name, i_subconsumer_name, i_dead_interval): opens a worker's next batch,
-- up to the next tick; see next_batch_custom. Result: the batch's number, or null.
create or replace function pgq_coop.next_batch(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text, i_dead_interval interval) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select b.batch_id from pgq_coop.next_batch_custom($1, $2, $3, null, null, null, $4) b $$;

-- pgq_coop.next_batch(i_queue_name, i_consumer_name, i_subconsumer_name): the same; nobody is taken for dead.
create or replace function pgq_coop.next_batch(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select b.batch_id from pgq_coop.next_batch_custom($1, $2, $3, null, null, null, null) b $$;
