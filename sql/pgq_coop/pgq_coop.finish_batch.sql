-- pgq_coop.finish_batch(i_batch_id): a worker is done with its batch. Result: 1; 0 with a warning if there is no such open
-- batch, which is also what a worker gets whose batch was taken over.
-- Errors: registered by another role. Tables touched: updates pgq.subscription.
create or replace function pgq_coop.finish_batch(i_batch_id bigint) returns int4
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq.finish_batch(i_batch_id) $$;
