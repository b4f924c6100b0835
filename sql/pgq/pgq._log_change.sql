-- pgq._log_change(...): what logutriga, sqltriga and jsontriga do for a row; they only pass on what a trigger function knows.
-- Arguments: i_kind: u (urlencoded), s (SQL) or j (JSON); the trigger's operation, time, table and arguments; i_path: the
-- writer's search_path, for the expressions; the old and the new row (the same one twice for INSERT and DELETE).
-- Result: whether the row is to be skipped. Errors: those of _trigger_arguments, of the expressions and of insert_event;
-- Table ... change not allowed; Update/Delete on table without pkey; logtriga: Unexpected NULL key value.
-- Tables touched: inserts an event, as the writer, who needs pgq_writer; the expressions are the table owner's SQL, run as
-- the writer. Not SECURITY DEFINER for both reasons.
--
-- Values are compared as text. Where a key changes, what PgQ refuses is logged: a consumer that goes by the key sees
-- the old row's DELETE and the new row's INSERT; SQL says both keys in one UPDATE. What the session does to the text of
-- values (DateStyle and the like) is undone before it is read, where the table has a type that depends on it; by hand,
-- because up to version 13 a SET clause sends a message to the client for each row.
-- On version 10 a variable of a row type cannot hold a null of a composite type: such a column's null is logged as a row
-- of nulls there.
create or replace function pgq._log_change(
    i_kind text, i_op text, i_when text, i_table oid, i_arguments text[], i_path text,
    i_old anyelement, i_new anyelement) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
as $$
declare
    v_says    record;
    v_columns record;
    v_key     text[];
    v_match   text[];
    v_old     text[];
    v_new     text[];
    v_pins    text[];
    v_moved   bool;
    v_ignored bool;
    v_over    text[];
    v_event   text[];
begin
    if current_setting('session_replication_role') = 'local' then
        return false;
    end if;
    v_says := pgq._trigger_arguments(i_arguments);
    v_columns := pgq._trigger_columns(i_table, i_kind, i_op, i_op = 'UPDATE' and i_when = 'BEFORE');
    v_key := coalesce(v_says.pkey, v_columns.key);
    v_match := case when v_says.pkey is null then v_key else pgq._name_list(array_to_string(v_key, ',')) end;
    if i_op <> 'INSERT' and (v_key = '{}' or v_key = array['']) then
        raise exception 'Update/Delete on table without pkey' using errcode = 'XX000';
    elsif v_says.skip and i_when = 'AFTER' then
        raise exception 'SKIP does not work in AFTER trigger.' using errcode = 'XX000';
    elsif v_says.deny then
        perform pgq._refuse_change(i_table, i_op, v_says.queue_name);
    elsif v_says.condition is not null and not pgq._trigger_condition(v_says.condition, i_path, i_new) then
        return v_says.skip;
    end if;
    for i in 1 .. cardinality(v_says.places) loop
        v_over[i] := pgq._trigger_expression(v_says.expressions[i], i_path, i_new);
    end loop;

    if not v_columns.plain then
        v_pins := pgq._pin_output();
    end if;
    execute v_columns.read_values into v_old, v_new using i_old, i_new;
    if i_op <> 'UPDATE' then
        v_new := v_old;
    end if;
    if v_pins is not null then
        perform set_config(p.name, p.value, true) from unnest(v_pins[1:5], v_pins[6:10]) p (name, value)
          where p.value is not null;
    end if;

    if i_op = 'UPDATE' then
        select coalesce(bool_or(c.name = any (v_match)), false), coalesce(bool_and(c.name = any (v_says.ignored)), false)
          into v_moved, v_ignored
          from unnest(v_columns.names, v_old, v_new) c (name, old, new)
         where c.old is distinct from c.new;
        if v_moved and i_kind <> 's' then
            perform pgq._log_change(i_kind, 'DELETE', i_when, i_table, i_arguments, i_path, i_old, i_old);
            return pgq._log_change(i_kind, 'INSERT', i_when, i_table, i_arguments, i_path, i_new, i_new);
        elsif v_ignored and not v_moved then
            -- An UPDATE that changes nothing is an event, one that changes what is ignored is none.
            return v_says.skip;
        end if;
    end if;
    v_event := array[
        pgq._change_type(i_kind, i_op, i_table, v_key),
        case i_kind when 's' then pgq._change_sql(i_op, v_columns.names, v_old, v_new, v_match, v_says.ignored)
                    else pgq._change_row(i_kind, v_columns.names, v_new, v_says.ignored) end,
        v_columns.table_name,
        case when v_says.backup and i_op = 'UPDATE' then
            pgq._change_row(i_kind, v_columns.names, v_old, v_says.ignored) end,
        null, null];
    for i in 1 .. cardinality(v_says.places) loop
        v_event[v_says.places[i]] := v_over[i];
    end loop;
    perform pgq.insert_event(v_says.queue_name, v_event[1], v_event[2], v_event[3], v_event[4], v_event[5], v_event[6]);
    return v_says.skip;
end
$$;

-- pgq._log_truncate(...): the same for a statement, which must be TRUNCATE. Arguments and errors: as _log_change; what makes
-- no sense for TRUNCATE is refused. Result: none.
create or replace function pgq._log_truncate(
    i_kind text, i_op text, i_when text, i_table oid, i_arguments text[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_says    record;
    v_columns record;
begin
    if current_setting('session_replication_role') = 'local' then
        return;
    end if;
    if i_op <> 'TRUNCATE' then
        raise exception 'pgq Ins/Upd/Del trigger must be fired FOR EACH ROW' using errcode = 'XX000';
    end if;
    v_says := pgq._trigger_arguments(i_arguments);
    if v_says.condition is not null or v_says.places <> '{}' then
        raise exception 'Custom expressions do not make sense for truncater trigger' using errcode = 'XX000';
    elsif v_says.ignored is not null then
        raise exception 'Column ignore does not make sense for truncate trigger' using errcode = 'XX000';
    elsif v_says.pkey is not null then
        raise exception 'Custom pkey_list does not make sense for truncate trigger' using errcode = 'XX000';
    elsif v_says.backup then
        raise exception 'Backup does not make sense for truncate trigger' using errcode = 'XX000';
    elsif v_says.skip and i_when = 'AFTER' then
        raise exception 'SKIP does not work in AFTER trigger.' using errcode = 'XX000';
    elsif v_says.deny then
        perform pgq._refuse_change(i_table, i_op, v_says.queue_name);
    end if;
    v_columns := pgq._trigger_columns(i_table, i_kind, i_op, false);
    perform pgq.insert_event(v_says.queue_name,
                             case i_kind when 'j' then pgq._change_type('j', i_op, i_table, v_columns.key) else 'R' end,
                             case i_kind when 'j' then '{}' else '' end, v_columns.table_name, null, null, null);
end
$$;

-- pgq._refuse_change(i_table, i_op, i_queue_name): what deny is for.
create or replace function pgq._refuse_change(i_table oid, i_op text, i_queue_name text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'Table ''%'' to queue ''%'': change not allowed (%)',
        (select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where c.oid = i_table), i_queue_name, i_op using errcode = 'XX000';
end
$$;
