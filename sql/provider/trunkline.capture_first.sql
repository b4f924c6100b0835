-- Function trunkline.capture_first(i_operation, i_queue_id, i_plan jsonb, i_shape_id, i_live text): logs transition rows if
-- this is the first capture on the table within the client statement, else does i_live.
--
-- What the setting trunkline.m_<oid> says of that:
--  * the mark of this statement: a capture went before; live rows.
--  * the mark of an earlier one, or "0", which each session keeps beneath: none did; transition rows. Both begin with a nought.
--  * nothing: the session is new here, or somebody has said RESET ALL, maybe since a capture within this
--    statement. It is the first if the session's statistics know of no other row of the table that was
--    written (trunkline.rows_written). Then the session gets its "0", unless there was no row: the statement
--    around this one must not take it for proof.
--  * anything else is not ours; live rows, which are right whatever was logged before.
--
-- Rows of an INSERT are what the table holds, whatever went before, if this transaction has changed none: so
-- a table of lines that triggers write is never read. To read would cost more than time: in a SERIALIZABLE
-- transaction a look by key meets all who write beside it in the index.
--
-- One row, whose key stays if it is an UPDATE, and that cannot be too large, takes a path of its own.
create or replace function trunkline.capture_first(
    i_operation text, i_queue_id int4, i_plan jsonb, i_shape_id bigint, i_live text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_words record;
    v_from  text := case i_operation when 'delete' then 'oldt' else 'newt' end;
    v_alone text;
    v_kind  text;
    v_set   text;
    v_new   text := '''insert''';
    v_kept  text := '''update''';
    v_lost  text := '''delete''';
begin
    select * into v_words from trunkline.capture_words(i_queue_id, i_plan, i_shape_id);
    v_alone := trunkline.capture_alone(i_operation, i_plan, v_words.may_be_large);
    if exists (select from jsonb_array_elements(i_plan -> 'columns') c (col)
                where c.col ->> 'key' is not null and not (c.col ->> 'text_equal')::bool) then
        v_new := 'case when pg_trigger_depth() = 1 then ''insert'' else ''live'' end';
        v_kept := 'case when pg_trigger_depth() = 1 then ''update'' else ''live'' end';
        v_lost := 'case when pg_trigger_depth() = 1 then ''delete'' else ''gone'' end';
    end if;

    if i_operation = 'insert' then
        v_kind := v_new;
        v_set := format('v_rows := %s;', trunkline.capture_blocks(v_words.put, v_new,
                        format('select %s as x from newt n%s', v_words.new_row, ' where not ' || v_words.new_large), ''));
    elsif i_operation = 'delete' then
        v_kind := v_lost;
        v_set := format('v_rows := %s;', trunkline.capture_blocks(v_words.put, v_lost,
                        format('select %s as x from oldt o', v_words.old_key), ''));
    else
        v_kind := v_kept;
        -- An array of one old key that equals the new row's: so there is one row. Arrays compare by the types' own equality.
        v_alone := case when v_words.plain_key
                        then format('array(select %s from oldt o limit 2) = array[%s]', v_words.old_pair, v_words.new_pair)
                             || coalesce(' and (' || v_words.may_be_large || ') is not true', '')
                        else format('%s and (select %s from oldt o limit 1)', v_alone, v_words.same) end;
        v_set := trunkline.capture_updates(i_queue_id, i_plan, i_shape_id, v_new, v_kept, v_lost);
    end if;
    if v_words.new_large is not null and i_operation <> 'delete' then
        v_set := v_set || format($f$
            if exists (select from newt n where %s) then
                v_rows := %s;
            end if;$f$, v_words.new_large, trunkline.capture_blocks(v_words.put, '''large''',
                            format('select %s as x from newt n where %s', v_words.new_key, v_words.new_large), ''));
    end if;
    v_set := format($f$v_saved := trunkline.pin_plans();
            %s
            v_done := trunkline.unpin_plans(v_saved);
            v_done := set_config('trunkline.m_%s', v_mark, true);$f$, v_set, i_plan ->> 'oid');
    return format($f$if ascii(nullif(current_setting('trunkline.m_%1$s', true), v_mark)) = 48 then%2$s
        if found then
            null;
        elsif exists (select from %3$s) then
            %4$s
        end if;
    else
        v_more := (select count(*) from %3$s);
        if v_more > 0 then
            if coalesce(current_setting('trunkline.m_%1$s', true), '') = '' then
                v_done := set_config('trunkline.m_%1$s', '0', false);
                v_first := (select w.written = v_more%6$s from trunkline.rows_written(%1$s) w);
            else
                v_first := %7$s;
            end if;
            if v_first then
            %4$s
            else
            %5$s
            v_done := set_config('trunkline.m_%1$s', v_mark, true);
            end if;
        end if;
    end if;$f$, i_plan ->> 'oid',
        trunkline.capture_chain(i_queue_id, format('case when set_config(''trunkline.m_%s'', v_mark, true) is not null then %s end',
                                                   i_plan ->> 'oid', v_kind), v_words.name, v_words.shape,
                                case i_operation when 'delete' then v_words.old_key else v_words.new_row end,
                                format('%s %s where %s', v_from, left(v_from, 1), v_alone)),
        v_from, v_set, i_live,
        case i_operation when 'insert' then ' or w.changed = 0' else '' end,
        case i_operation when 'insert' then format('(select w.changed = 0 from trunkline.rows_written(%s) w)', i_plan ->> 'oid') else 'false' end);
end
$$;
revoke all on function trunkline.capture_first(text, int4, jsonb, bigint, text) from public;
