-- Function trunkline.script_queues(i_consumer): the queues of this database into which tables are captured that a consumer
-- writes: a script that its job has executed goes on into them.
-- Result: their names. Tables: reads captured, queue. Users must not: nothing to fear.
create or replace function trunkline.script_queues(i_consumer text) returns setof text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Capture may be missing here.
    if to_regprocedure('trunkline.put_script(text,bigint,text,text,text,bigint,jsonb)') is not null then
        return query
            select distinct q.queue_name
              from trunkline.captured c join pgq.queue q on q.queue_id = c.queue_id
             where c.writers <> '{}' and i_consumer = any (c.writers);
    end if;
end
$$;
revoke all on function trunkline.script_queues(text) from public;
