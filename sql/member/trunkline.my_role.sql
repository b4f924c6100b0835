-- Function trunkline.my_role(i_queue): what this node is in the sets of its queues, or in one of them.
--
-- Result: a row a set; none for a plain provider or subscriber.
--   role     provider, fenced, standby or reader; copy: the database was restored elsewhere, and is none of them
--   since, term, reason, set_by, final_tick_id, final_tick_time, opening   as in trunkline.role
-- Tables: reads trunkline.role. Users: everyone.
create or replace function trunkline.my_role(
    i_queue text default null,
    out queue_name text, out role text, out since timestamptz, out term bigint, out reason text, out set_by text,
    out final_tick_id bigint, out final_tick_time timestamptz, out opening bool)
returns setof record
language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select r.queue_name, case when trunkline.is_copy() then 'copy' else r.role end, r.since, r.term, r.reason,
               r.set_by, r.final_tick_id, r.final_tick_time, r.opening
          from trunkline.role r
         where i_queue is null or r.queue_name = i_queue
         order by r.queue_name;
end
$$;
