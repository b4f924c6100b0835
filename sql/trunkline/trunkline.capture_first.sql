-- Function trunkline.capture_first(i_operation, i_queue_id, i_plan jsonb, i_shape_id, i_live text): logs transition rows if
-- this is the first capture on the table within the client statement, else does i_live.
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
    return format($f$if (current_setting('trunkline.m_%1$s', true) = v_mark) is not true then%2$s
        if found then
            null;
        elsif exists (select from %3$s) then
            v_saved := trunkline.pin_plans();
            %4$s
            v_done := trunkline.unpin_plans(v_saved);
            v_done := set_config('trunkline.m_%1$s', v_mark, true);
        end if;
    else
        %5$s
    end if;$f$, i_plan ->> 'oid',
        trunkline.capture_chain(i_queue_id, format('case when set_config(''trunkline.m_%s'', v_mark, true) is not null then %s end',
                                                   i_plan ->> 'oid', v_kind), v_words.name, v_words.shape,
                                case i_operation when 'delete' then v_words.old_key else v_words.new_row end,
                                format('%s %s where %s', v_from, left(v_from, 1), v_alone)),
        v_from, v_set, i_live);
end
$$;
revoke all on function trunkline.capture_first(text, int4, jsonb, bigint, text) from public;
