-- pgq_ext.is_batch_done(a_consumer, a_subconsumer, a_batch_id): whether a batch is the last one that the consumer has
-- done. Result: bool. Tables touched: reads completed_batch.
create or replace function pgq_ext.is_batch_done(a_consumer text, a_subconsumer text, a_batch_id bigint)
returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from pgq_ext.completed_batch c
                    where c.consumer_id = a_consumer and c.subconsumer_id = a_subconsumer
                      and c.last_batch_id = a_batch_id)
$$;

-- pgq_ext.is_batch_done(a_consumer, a_batch_id): the same for a consumer without sub-consumers.
create or replace function pgq_ext.is_batch_done(a_consumer text, a_batch_id bigint) returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq_ext.is_batch_done(a_consumer, '', a_batch_id) $$;

-- pgq_ext.set_batch_done(a_consumer, a_subconsumer, a_batch_id): notes that a batch is done.
-- Result: true; false if it was noted already: then the caller's work was done before, and is to be rolled back.
-- Of two at once one waits for the other's end and gets false. Tables touched: completed_batch.
create or replace function pgq_ext.set_batch_done(a_consumer text, a_subconsumer text, a_batch_id bigint)
returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into pgq_ext.completed_batch as c (consumer_id, subconsumer_id, last_batch_id)
    values (a_consumer, a_subconsumer, a_batch_id)
    on conflict (consumer_id, subconsumer_id) do update set last_batch_id = excluded.last_batch_id
     where c.last_batch_id <> excluded.last_batch_id;
    return found;
end
$$;

-- pgq_ext.set_batch_done(a_consumer, a_batch_id): the same for a consumer without sub-consumers.
create or replace function pgq_ext.set_batch_done(a_consumer text, a_batch_id bigint) returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq_ext.set_batch_done(a_consumer, '', a_batch_id) $$;
