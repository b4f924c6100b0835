-- Function trunkline.tell_event(i_queue, i_event, i_ok, i_details, i_other_node): has the node's replay tell the programs
-- beside it what has happened, when the caller's transaction is committed. Old rows are deleted: those that were told
-- more than 30 days ago, those beyond the newest 1,000 that are told, and all beyond the newest 10,000 of the queue.
--
-- Arguments: i_event its name; i_ok it is no failure; i_details for a person, of which 2,000 characters are kept.
-- Errors: 23514 a name that is no word. Tables: writes trunkline.event; reads trunkline.role.
-- Users: the schema's owner, who may grant EXECUTE. Whoever has it can have the node's commands run.
create or replace function trunkline.tell_event(
    i_queue text, i_event text, i_ok bool, i_details text, i_other_node bigint) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_told  bigint;
    v_least bigint;
begin
    insert into trunkline.event (queue_name, event, ok, term, details, other_node)
    values (i_queue, i_event, i_ok, (select r.term from trunkline.role r where r.queue_name = i_queue),
            left(i_details, 2000), i_other_node);
    select e.event_id into v_told from trunkline.event e
     where e.queue_name = i_queue order by e.queue_name desc, e.event_id desc offset 1000 limit 1;
    select e.event_id into v_least from trunkline.event e
     where e.queue_name = i_queue order by e.queue_name desc, e.event_id desc offset 10000 limit 1;
    -- What replay is marking at this moment stays for the next call.
    delete from trunkline.event e
     where e.event_id in (
        select o.event_id from trunkline.event o
         where o.queue_name = i_queue
           and (o.told_at is not null and (o.event_id <= v_told or o.told_at < clock_timestamp() - interval '30 days')
                or o.event_id <= v_least)
           for update skip locked);
end
$$;
revoke all on function trunkline.tell_event(text, text, bool, text, bigint) from public;
