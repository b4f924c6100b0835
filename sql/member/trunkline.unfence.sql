-- Function trunkline.unfence(i_queue, i_force): makes a fenced node the provider again that it was, and opens as many
-- tables as it gets at once. The caller goes on with trunkline.open_tables until none is left; should it not, the
-- ticker's upkeep does.
--
-- Arguments: i_force although another node was heard of with a higher term, or may be promoted by an operation that runs:
-- it is said to be off, its writes are given up, and the operation is aborted on this node.
-- A provider whose deny triggers somebody has switched on is opened, too.
-- Result: done (false: it was no fenced node but the provider), and how many tables are left to be opened.
-- Errors: 25001 outside READ COMMITTED; 42704 no role; 55000 the node is neither, another node has a higher term, or an
-- operation runs; 55P03 another command is at it. Tables: writes trunkline.role, trunkline.operation, trunkline.node,
-- trunkline.lost, trunkline.event, pgq.queue; switches triggers; alters the database.
-- Users: the schema's owner, who may grant EXECUTE. A new session is read-only after a fence: BEGIN READ WRITE first.
create or replace function trunkline.unfence(
    i_queue text, i_force bool default false, out done bool, out tables_left int4)
returns record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
set lock_timeout = '300 ms'
as $$
declare
    v_role   trunkline.role;
    v_member record;
    v_other  record;
    v_before text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a fence is taken away in READ COMMITTED transactions only' using errcode = '25001';
    end if;
    v_before := trunkline.rest_event_triggers();
    v_role := trunkline.hold_role(i_queue);
    if trunkline.is_copy() or v_role.role not in ('provider', 'fenced') then
        raise exception 'this node is no fenced provider of queue %: it is a %', quote_literal(i_queue),
                case when trunkline.is_copy() then 'copy that was restored elsewhere' else v_role.role end
            using errcode = '55000',
            hint = case when trunkline.is_copy() then 'If it is the node that it was: select trunkline.keep_identity().'
                        else 'Writes are taken by another node.' end;
    end if;
    done := v_role.role = 'fenced';
    if done then
        select o.name, o.term into v_member
          from (select coalesce(m.name, m.node_id::text) as name, m.term from trunkline.member m
                 where m.queue_name = i_queue
                 union all
                select coalesce(h.node_name, h.node_id::text), h.term from trunkline.history h
                 where h.queue_name = i_queue) o
         where o.term > v_role.term
         order by o.term desc limit 1;
        if found and not i_force then
            raise exception 'node % has term %, above the term % of this one', v_member.name, v_member.term, v_role.term
                using errcode = '55000', hint = 'Two nodes would take writes. If it is off for ever: --force.';
        end if;
        select o.operation_id, o.kind, coalesce(o.new_name, o.new_node::text) as new, o.step into v_other
          from trunkline.operation o
         where o.queue_name = i_queue and o.step not in ('done', 'aborted') for update;
        if found and not i_force then
            raise exception 'a % to node % runs, step %', v_other.kind, v_other.new, v_other.step
                using errcode = '55000', hint = format('That node may be the provider already. Give the operation up: '
                    'trunkline %s %s --abort. If the node is off for ever: --force.', v_other.kind, i_queue);
        elsif found then
            update trunkline.operation o
               set step = 'aborted', changed_at = clock_timestamp(), error = 'the old provider was unfenced by force'
             where o.queue_name = i_queue and o.operation_id = v_other.operation_id;
        end if;
        update trunkline.role r
           set role = 'provider', since = clock_timestamp(), reason = null, set_by = session_user, final_epoch = null,
               final_tick_id = null, final_tick_tag = null, final_tick_time = null, opening = true
         where r.queue_name = i_queue;
        update pgq.queue q set queue_disable_insert = v_role.inserts_disabled, queue_ends_at = null where q.queue_name = i_queue;
        -- What this node has taken is the set's again.
        update trunkline.lost l
           set handled_at = clock_timestamp(), handled_by = session_user, handled_as = '{}'
         where l.queue_name = i_queue and l.node_id = (select n.node_id from trunkline.node n) and l.handled_at is null;
        perform trunkline.follow_read_only();
        perform trunkline.tell_event(i_queue, 'unfenced', true, null, null);
    else
        -- ALTER TABLE ... ENABLE TRIGGER ALL, which others say after a load, switches deny triggers on, too.
        update trunkline.role r set opening = true
         where r.queue_name = i_queue and not r.opening
           and exists (select from trunkline.levels(i_queue) l where trunkline.deny_state(l.table_oid) <> 'D');
    end if;
    tables_left := trunkline.open_tables(i_queue);
    perform trunkline.wake_event_triggers(v_before);
end
$$;
revoke all on function trunkline.unfence(text, bool) from public;
