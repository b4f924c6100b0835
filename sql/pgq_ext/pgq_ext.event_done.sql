-- pgq_ext.is_event_done(a_consumer, a_subconsumer, a_batch_id, a_event_id): whether the consumer has done an event of its
-- batch in work. Result: bool. Not for consumers that use retry: an event that comes back is in another batch.
-- Tables touched: reads completed_event.
create or replace function pgq_ext.is_event_done(
    a_consumer text, a_subconsumer text, a_batch_id bigint, a_event_id bigint) returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from pgq_ext.completed_event c
                    where c.consumer_id = a_consumer and c.subconsumer_id = a_subconsumer
                      and c.batch_id = a_batch_id and c.event_id = a_event_id)
$$;

-- pgq_ext.is_event_done(a_consumer, a_batch_id, a_event_id): the same for a consumer without sub-consumers.
create or replace function pgq_ext.is_event_done(a_consumer text, a_batch_id bigint, a_event_id bigint)
returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq_ext.is_event_done(a_consumer, '', a_batch_id, a_event_id) $$;

-- pgq_ext.set_event_done(a_consumer, a_subconsumer, a_batch_id, a_event_id): notes that an event is done; the first
-- event of another batch forgets those of the one before.
-- Result: true; false if it was noted already. Tables touched: partial_batch, completed_event.
create or replace function pgq_ext.set_event_done(
    a_consumer text, a_subconsumer text, a_batch_id bigint, a_event_id bigint) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into pgq_ext.partial_batch as p (consumer_id, subconsumer_id, cur_batch_id)
    values (a_consumer, a_subconsumer, a_batch_id)
    on conflict (consumer_id, subconsumer_id) do update set cur_batch_id = excluded.cur_batch_id
     where p.cur_batch_id <> excluded.cur_batch_id;
    if found then
        delete from pgq_ext.completed_event c
         where c.consumer_id = a_consumer and c.subconsumer_id = a_subconsumer and c.batch_id <> a_batch_id;
    end if;
    insert into pgq_ext.completed_event (consumer_id, subconsumer_id, batch_id, event_id)
    values (a_consumer, a_subconsumer, a_batch_id, a_event_id)
    on conflict do nothing;
    return found;
end
$$;

-- pgq_ext.set_event_done(a_consumer, a_batch_id, a_event_id): the same for a consumer without sub-consumers.
create or replace function pgq_ext.set_event_done(a_consumer text, a_batch_id bigint, a_event_id bigint)
returns boolean
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq_ext.set_event_done(a_consumer, '', a_batch_id, a_event_id) $$;
