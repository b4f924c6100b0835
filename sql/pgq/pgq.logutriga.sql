-- pgq.logutriga(): a trigger function for INSERT, UPDATE and DELETE (each row) and TRUNCATE (each statement) that puts changes
-- into a queue. Arguments: the queue's name, then those of pgq._trigger_arguments.
-- The event: ev_type: I:KEY, U:KEY or D:KEY, the key's columns with commas
-- (R for TRUNCATE, but for JSON); ev_data: the row, urlencoded: a=1&b&c=x%20y, a null without its =; the old one for DELETE;
-- ev_extra1: SCHEMA.TABLE, not quoted; ev_extra2: with "backup" the old row of an UPDATE.
-- Result: null for a row to skip (SKIP), else the row. Tables touched: inserts an event. The writer needs pgq_writer.
-- The trigger does nothing where session_replication_role is local; where it is replica, the trigger's own mode decides.
-- No SET clause: the expressions are read with the writer's search_path.
create or replace function pgq.logutriga() returns trigger
language plpgsql volatile
as $$
declare
    v_skip pg_catalog.bool;
begin
    if tg_level operator(pg_catalog.=) 'STATEMENT' then
        perform pgq._log_truncate('u', tg_op, tg_when, tg_relid, tg_argv);
        return null;
    elsif tg_op operator(pg_catalog.=) 'INSERT' then
        v_skip := pgq._log_change('u', tg_op, tg_when, tg_relid, tg_argv,
                                  pg_catalog.current_setting('search_path'), new, new);
    elsif tg_op operator(pg_catalog.=) 'UPDATE' then
        v_skip := pgq._log_change('u', tg_op, tg_when, tg_relid, tg_argv,
                                  pg_catalog.current_setting('search_path'), old, new);
    else
        v_skip := pgq._log_change('u', tg_op, tg_when, tg_relid, tg_argv,
                                  pg_catalog.current_setting('search_path'), old, old);
        if not v_skip then
            return old;
        end if;
    end if;
    if v_skip then
        return null;
    end if;
    return new;
end
$$;
