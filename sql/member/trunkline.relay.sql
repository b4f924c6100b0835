-- Function trunkline.relay(i_queue, i_may): has a standby log what replay writes here, or not any more, as the set needs it now.
--
-- After a failover those who have applied less than the new provider catch up from its log (trunkline.place_of), so a standby
-- logs while the set has a further node, beside this one and the provider, that was heard within a day. A pair pays
-- nothing. The triggers follow from that (trunkline.outdated_writers, the ticker's upkeep).
-- The log of a former provider has ended, and begins anew first (trunkline.begin_new_log).
-- Arguments: i_may false: this node shall never log what it applies.
-- Result: one row. relays: it is to log. changed: it was not so before. why: what keeps it from it; null: nothing.
-- Tables: writes role and event; reads member, history, and what begin_new_log reads. Users: the schema's owner.
create or replace function trunkline.relay(i_queue text, i_may bool, out relays bool, out changed bool, out why text)
returns record
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '300 ms'
as $$
declare
    v_further record;
begin
    select m.node_id, m.name into v_further
      from trunkline.member m join trunkline.node n on n.node_id <> m.node_id
     where m.queue_name = i_queue and m.role <> 'copy' and m.heard_at > clock_timestamp() - interval '1 day'
       -- By history and not by its role: while the provider moves, the one before is fenced, and is no further node yet.
       and m.node_id is distinct from (select h.node_id from trunkline.history h
                                        where h.queue_name = i_queue order by h.term desc limit 1)
     order by m.heard_at desc limit 1;
    relays := i_may and found and to_regclass('trunkline.captured') is not null;
    if relays then
        why := trunkline.begin_new_log(i_queue);
        relays := why is null;
    end if;
    update trunkline.role r set relaying = relay.relays
     where r.queue_name = i_queue and r.role = 'standby' and r.relaying <> relay.relays;
    changed := found;
    if changed and relays then
        perform trunkline.tell_event(i_queue, 'relay_on', true,
            format('node %s of the set could need the log', coalesce(v_further.name, v_further.node_id::text)), v_further.node_id);
    elsif changed then
        perform trunkline.tell_event(i_queue, 'relay_off', true,
            coalesce(why, case when i_may then 'nobody could need the log' else 'relay is false' end), null);
    end if;
end
$$;
revoke all on function trunkline.relay(text, bool) from public;
