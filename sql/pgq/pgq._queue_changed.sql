-- pgq._queue_changed(): keeps the functions that insert_event() consists of level with pgq.queue; a trigger on it.
-- ENABLE ALWAYS: a session that is a replica must not leave them behind. Users must not: disable the trigger.
create or replace function pgq._queue_changed() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'DELETE' then
        perform pgq._make_insert_event();
        execute format('drop function if exists pgq._insert_%s(text, text, text, text, text, text)', old.queue_id);
        return null;
    end if;
    if tg_op = 'UPDATE' and new.queue_cur_table <> old.queue_cur_table then
        -- This session need not wait until the second is over (see pgq._make_insert).
        perform set_config('trunkline.q_' || new.queue_id, '', false);
    end if;
    if tg_op = 'UPDATE'
       and (new.queue_name, new.queue_ntables, new.queue_disable_insert, new.queue_data_pfx, new.queue_event_seq)
         = (old.queue_name, old.queue_ntables, old.queue_disable_insert, old.queue_data_pfx, old.queue_event_seq)
       and new.queue_per_tx_limit is not distinct from old.queue_per_tx_limit then
        return null;
    end if;
    perform pgq._make_insert(new.queue_id);
    if tg_op = 'INSERT' or new.queue_name <> old.queue_name then
        perform pgq._make_insert_event();
    end if;
    return null;
end
$$;

do $$
begin
    if not exists (select from pg_catalog.pg_trigger t
                    where t.tgrelid = 'pgq.queue'::regclass and t.tgname = 'queue_changed') then
        create trigger queue_changed
            after insert or delete or update of queue_name, queue_ntables, queue_cur_table, queue_disable_insert,
                                                queue_per_tx_limit, queue_data_pfx, queue_event_seq
            on pgq.queue for each row execute procedure pgq._queue_changed();
        alter table pgq.queue enable always trigger queue_changed;
    end if;
end
$$;
