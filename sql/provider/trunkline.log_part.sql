-- Function trunkline.log_part(i_captured, i_part jsonb, i_emptied bool, i_source oid): tells the queue what became of the rows
-- of a part of a table: that there are none of before (i_emptied), and which there are now (those of i_source that lie
-- in the part; null: none are to be told).
--
-- Beyond 4 GB, where a reader could not tell which rows are meant, where this transaction's snapshot may be older than
-- some of the rows (trunkline.hides_rows), and where they may not be read, the table must be copied again; where its owner
-- reads it (trunkline.reader) also if one of the rows may be too large for an event.
create or replace function trunkline.log_part(i_captured trunkline.captured, i_part jsonb, i_emptied bool, i_source oid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_words record;
    v_where text := case when i_emptied then i_part ->> 'where' else 'true' end;
    v_large text;
    v_kind  text;
    v_owner bool := i_captured.plan ->> 'reader' = 'owner';
    v_told  bool := true;
begin
    select * into v_words from trunkline.capture_words(i_captured.queue_id, i_captured.plan, i_captured.shape_id);
    if i_source is not null then
        v_told := trunkline.table_bytes(i_source) <= 4294967296 and not (i_emptied and v_where is null)
            and not trunkline.hides_rows(i_source) and trunkline.may_read_part(i_captured, i_source);
        if v_told and v_owner and v_words.read_may_be_large is not null then
            execute format('select (a.a)[1]::bool from trunkline.ask_%s($1) a (a)', i_captured.table_oid) into v_told
              using format('select array[(not exists (select from %s t where %s))::text]', i_source::regclass, v_words.read_may_be_large);
        end if;
    end if;
    if not v_told then
        perform trunkline.log_mark(i_captured.shape_id, 'resync', json_build_object('why', format(
            'the rows of partition %I.%I came or went with it', i_part #>> '{part,schema}', i_part #>> '{part,name}')));
        return;
    end if;
    if i_emptied then
        perform trunkline.log_mark(i_captured.shape_id, 'emptied', (i_part - 'where')::json);
    end if;
    if i_source is null then
        return;
    end if;
    v_kind := case i_captured.plan ->> 'identity' when 'key' then '''live''' else '''plus''' end;
    if v_owner then
        execute 'select ' || trunkline.capture_blocks(v_words.put, v_kind, format('select (a.a)[1] as x from trunkline.ask_%s(%L) a (a)',
            i_captured.table_oid, format('select array[%s] from %s t where %s', v_words.live_row, i_source::regclass, v_where)), '');
        return;
    end if;
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

-- Function trunkline.may_read_part(i_captured, i_table oid): whether capture of a table may read this one,
-- itself or a partition of it that comes or goes, in the table's way (trunkline.reader).
--
-- A function of the owner's holds his code only until the commit: a cursor WITH HOLD that was opened in it, or a deferred trigger
-- that was queued in it, runs then as the role of the session. In a writer's session that is the risk which any trigger of the
-- table is to him. In a session of the programs, which may be a superuser's, nothing is read so (trunkline.refresh_late).
create or replace function trunkline.may_read_part(i_captured trunkline.captured, i_table oid) returns bool
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if i_captured.plan ->> 'reader' = 'owner' then
        return coalesce(current_setting('trunkline.own_session', true), '') <> 'on'
               and trunkline.may_read(i_captured.table_oid, 'owner')
               and (select trunkline.may_ask(i_table, c.relowner) from pg_class c where c.oid = i_captured.table_oid);
    end if;
    return trunkline.may_read(i_table, i_captured.plan ->> 'reader')
           and (i_captured.plan ->> 'reader' <> 'self' or trunkline.reader(i_table) in ('self', 'checked'));
end
$$;
revoke all on function trunkline.may_read_part(trunkline.captured, oid) from public;
