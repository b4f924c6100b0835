-- Function trunkline.leave_set(i_queue): forgets the set of a queue that is being dropped, for pgq.drop_queue: no table
-- is captured into it any more. Those that left while it was fenced take writes again: the caller sets a lock_timeout and
-- tries again (55P03). A standby, whose tables replay brings, stays one.
-- Tables: writes trunkline.role, history, member, removed_member, event, operation and node; drops triggers; alters the
-- database.
create or replace function trunkline.leave_set(i_queue text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_table oid;
begin
    if trunkline.follows(i_queue) then
        return;
    end if;
    delete from trunkline.member m where m.queue_name = i_queue;
    delete from trunkline.removed_member r where r.queue_name = i_queue;
    delete from trunkline.history h where h.queue_name = i_queue;
    delete from trunkline.event e where e.queue_name = i_queue;
    delete from trunkline.operation o where o.queue_name = i_queue;
    delete from trunkline.role r where r.queue_name = i_queue;
    for v_table in select d.oid from trunkline.denied(i_queue) d order by 1 loop
        execute format('drop trigger deny_trunkline on %s', v_table::regclass);
    end loop;
    perform trunkline.follow_read_only();
end
$$;
revoke all on function trunkline.leave_set(text) from public;
