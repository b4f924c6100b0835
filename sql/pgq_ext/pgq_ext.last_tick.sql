-- pgq_ext.get_last_tick(a_consumer, a_subconsumer): the tick that the consumer has come to. Result: bigint; null if it has
-- not been set. Tables touched: reads completed_tick.
create or replace function pgq_ext.get_last_tick(a_consumer text, a_subconsumer text) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    select c.last_tick_id from pgq_ext.completed_tick c
     where c.consumer_id = a_consumer and c.subconsumer_id = a_subconsumer
$$;

-- pgq_ext.get_last_tick(a_consumer): the same for a consumer without sub-consumers.
create or replace function pgq_ext.get_last_tick(a_consumer text) returns bigint
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq_ext.get_last_tick(a_consumer, '') $$;

-- pgq_ext.set_last_tick(a_consumer, a_subconsumer, a_tick_id): notes the tick that the consumer has come to; null forgets
-- the consumer. Result: 1. Tables touched: completed_tick.
create or replace function pgq_ext.set_last_tick(a_consumer text, a_subconsumer text, a_tick_id bigint) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if a_tick_id is null then
        delete from pgq_ext.completed_tick c
         where c.consumer_id = a_consumer and c.subconsumer_id = a_subconsumer;
    else
        insert into pgq_ext.completed_tick (consumer_id, subconsumer_id, last_tick_id)
        values (a_consumer, a_subconsumer, a_tick_id)
        on conflict (consumer_id, subconsumer_id) do update set last_tick_id = excluded.last_tick_id;
    end if;
    return 1;
end
$$;

-- pgq_ext.set_last_tick(a_consumer, a_tick_id): the same for a consumer without sub-consumers.
create or replace function pgq_ext.set_last_tick(a_consumer text, a_tick_id bigint) returns int4
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$ select pgq_ext.set_last_tick(a_consumer, '', a_tick_id) $$;
