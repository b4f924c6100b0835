-- Function trunkline.capture_one(i_operation, i_queue_id, i_plan jsonb, i_shape_id): what a row trigger does for insert, update
-- or delete, for tables whose form is rows.
--
-- Row triggers of one statement fire after all of its rows are written, in the order in which they were, and so do those of
-- what foreign keys do for it. Only a statement within it (of a trigger, of a function in RETURNING) fires its own before them.
-- So NEW is stale if such a statement has written the row again, and an old key is not gone if one has inserted it again.
--  * NEW is live if its xmax is 0: no transaction, ours included, has updated or deleted this version. That is proven by the row
--    itself, as it lies in the table when the trigger fires, and costs a comparison. Not 0 can also be a lock
--    (SELECT FOR UPDATE; a row that refers to it): then the live row is read.
--  * An old key is gone if no row has been inserted before within this client statement. Each insert
--    leaves the mark of trunkline.capture_first, and so does an update that goes the long way. Where the mark is missing
--    (a new session, or RESET ALL) the session's statistics must say that no row was inserted or updated.
-- An update that changes the key reads both keys: another row of its statement may have taken the old one.
--
-- Neither an update that keeps the key nor a delete leaves a mark, because nobody's row can be wrong by it that its xmax does
-- not tell: the mark alone is a sixth of what a captured row costs.
--
-- The conditions and the number of the event table are one expression, since each one is set up anew in each transaction.
-- Result: PL/pgSQL. Tables: reads pgq.queue. Users must not: it is a part of trunkline.capture_source.
create or replace function trunkline.capture_one(i_operation text, i_queue_id int4, i_plan jsonb, i_shape_id bigint) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_words   record;
    v_setting text := format('trunkline.m_%s', i_plan ->> 'oid');
    v_mark    text := 'encode(timestamptz_send(statement_timestamp()), ''hex'')';
    v_kind    text;
    v_proof   text;
    v_chain   text;
    v_live    text;
    v_long    text;
begin
    select * into v_words from trunkline.capture_words(i_queue_id, i_plan, i_shape_id);
    v_kind := case when (i_plan ->> 'live')::bool then case i_operation when 'delete' then '''gone''' else '''live''' end
                   else quote_literal(i_operation) end;
    if not (i_plan ->> 'live')::bool and exists (select from jsonb_array_elements(i_plan -> 'columns') c (col)
                where c.col ->> 'key' is not null and not (c.col ->> 'text_equal')::bool) then
        v_kind := format('case when pg_trigger_depth() = 1 then %s else %L end', v_kind, case i_operation when 'delete' then 'gone' else 'live' end);
    end if;
    v_proof := case i_operation
        when 'insert' then 'new.xmax = ''0''::xid'
        when 'update' then format('new.xmax = ''0''::xid and %s', v_words.record_same)
        else format('ascii(nullif(current_setting(%L, true), %s)) = 48', v_setting, v_mark) end;
    select string_agg(format($q$%1$s trunkline.current_table_%2$s() = %3$s and %4$s then
        insert into %5$s_%3$s (ev_id, ev_time, ev_txid, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
        values (nextval('%6$s'::regclass), now(), txid_current(), null::int4, null::int4, 'trunkline.1.rows'::text, %7$s,
                %8$s::text, %9$s::text, %10$s, null::text);
    $q$, case i when 0 then 'if' else 'elsif' end, i_queue_id, i,
               v_proof || case when i_operation <> 'delete' then coalesce(' and (' || v_words.record_may_be_large || ') is not true', '') else '' end,
               q.queue_data_pfx, q.queue_event_seq,
               case i_operation when 'delete' then v_words.record_key else v_words.record_row end, v_words.name, v_words.shape,
               case i_operation when 'insert' then format('case when set_config(%L, %s, true) is not null then %s end', v_setting, v_mark, v_kind)
                                else v_kind end), '' order by i)
      into v_chain
      from pgq.queue q cross join lateral generate_series(0, q.queue_ntables - 1) i
     where q.queue_id = i_queue_id;

    v_live := trunkline.capture_readable(i_plan, i_shape_id, format($f$v_saved := trunkline.pin_plans();
            v_rows := (%s);
            v_done := trunkline.unpin_plans(v_saved);$f$,
        trunkline.capture_live(i_operation, i_queue_id, i_plan, i_shape_id, '(select new.*)', '(select old.*)')));
    if i_operation = 'delete' then
        v_long := format($f$v_done := current_setting(%1$L, true);
        if coalesce(v_done, '') = '' then
            v_done := set_config(%1$L, '0', false);
            v_first := current_setting('track_counts') = 'on'
                       and pg_stat_get_xact_tuples_inserted(%2$s) + pg_stat_get_xact_tuples_updated(%2$s) = 0;
        else
            v_first := ascii(nullif(v_done, %3$s)) = 48;
        end if;
        if v_first then
            v_rows := trunkline.%4$s, %5$s, %6$s);
        else
        v_done := set_config(%1$L, %3$s, true);
        %7$s
        end if;$f$, v_setting, i_plan ->> 'oid', v_mark, v_words.put, v_kind, v_words.record_key, v_live);
    else
        -- What is left of a live row is one that may be large, or an event table that came later: put_N's affair.
        v_long := format($f$v_done := set_config(%1$L, %2$s, true);
        if %3$s then
            v_rows := (select trunkline.%4$s, %5$s from (select new.*) n);
        else
        %6$s
        end if;$f$, v_setting, v_mark, v_proof, v_words.put,
            case when v_words.new_large is null then format('%s, %s)', v_kind, v_words.new_row)
                 else format('case when %1$s then ''large'' else %2$s end, case when %1$s then %3$s else %4$s end)',
                             v_words.new_large, v_kind, v_words.new_key, v_words.new_row) end, v_live);
    end if;
    return v_chain || format($f$else
        %s
    end if;$f$, v_long);
end
$$;
revoke all on function trunkline.capture_one(text, int4, jsonb, bigint) from public;
