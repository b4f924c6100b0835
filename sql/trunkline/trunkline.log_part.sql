-- Function trunkline.log_part(i_captured, i_part jsonb, i_emptied bool, i_source oid): tells the queue what became of the rows
-- of a part of a table: that there are none of before (i_emptied), and which there are now (those of i_source that lie
-- in the part; null: none are to be told).
--
-- Beyond 4 GB, where a reader could not tell which rows are meant, and where this transaction's snapshot may be older than
-- some of the rows (trunkline.hides_rows), the table must be copied again.
create or replace function trunkline.log_part(i_captured trunkline.captured, i_part jsonb, i_emptied bool, i_source oid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_words record;
    v_where text := case when i_emptied then i_part ->> 'where' else 'true' end;
    v_large text;
    v_kind  text;
begin
    select * into v_words from trunkline.capture_words(i_captured.queue_id, i_captured.plan, i_captured.shape_id);
    if i_source is not null and (trunkline.table_bytes(i_source) > 4294967296 or (i_emptied and v_where is null)
                                 or trunkline.hides_rows(i_source)) then
        perform trunkline.log_mark(i_captured.shape_id, 'resync', json_build_object('why', format(
            'the rows of partition %I.%I came or went with it', i_part #>> '{part,schema}', i_part #>> '{part,name}')));
        return;
    end if;
    if i_emptied then
        perform trunkline.log_mark(i_captured.shape_id, 'emptied', i_part::json);
    end if;
    if i_source is null then
        return;
    end if;
    v_kind := case i_captured.plan ->> 'identity' when 'key' then '''live''' else '''plus''' end;
    v_large := case when i_captured.plan ->> 'identity' = 'key' then v_words.new_large end;
    execute 'select ' || trunkline.capture_blocks(v_words.put, v_kind, format('select %s as x from %s n where %s', v_words.new_row,
        i_source::regclass, concat_ws(' and ', v_where, 'not ' || v_large)), '');
    if v_large is not null then
        execute 'select ' || trunkline.capture_blocks(v_words.put, '''large''', format('select %s as x from %s n where %s and %s',
            v_words.new_key, i_source::regclass, v_where, v_large), '');
    end if;
end
$$;
revoke all on function trunkline.log_part(trunkline.captured, jsonb, bool, oid) from public;
