-- Function trunkline.capture_source(i_operation text, i_queue_id, i_plan jsonb, i_shape_id): the body of a table's capture
-- function for insert, update, delete or truncate.
--
-- A statement trigger's transition tables hold the rows of its own statement, but it fires after the statements nested
-- in it (of triggers, of functions in RETURNING) have logged theirs, so by then its rows may be stale. Therefore:
--  * the first capture on a table within a client statement logs its transition rows;
--  * every later one logs, for each key of its old and new rows, the live row with that key that this transaction
--    wrote, or that there is none. A REPEATABLE READ snapshot still shows rows that another session deleted; in READ
--    COMMITTED a row with a key that this transaction wrote can only be its own.
-- The mark of the first is the setting trunkline.m_<oid>, for the transaction: statement_timestamp's binary form, which no
-- setting can change. A capture without rows leaves no mark: an empty nested statement would make the outer one read
-- live for nothing, and ON CONFLICT fires two triggers.
-- A table with a foreign key whose actions write to it always logs live rows.
--
-- What insert, update and delete say of the time before holds for the database, and for a reader of events unless the
-- statement was nested: then the outer one, logged later, may have changed the key first, and its live row takes the
-- claim back. A reader who folds keys sees that; for keys that cannot be compared as text the order of events is all
-- there is, so nothing is claimed in triggers there.
--
-- One row, the common case, takes one statement without window or aggregate, which reads and sets the mark, too: each
-- expression of PL/pgSQL's own costs a snapshot and more. LIMIT 1 keeps the plan from looking costly enough for jit, which
-- would be compiled at each call from then on. The others take the path of sets.
--
-- The statements use no name that a column can hide: columns stand behind an alias, no alias stands alone where a
-- column could, and a name without an alias is a variable (variable_conflict).
-- Result: PL/pgSQL. Tables: none. Users must not: it is a part of trunkline.make_capture.
create or replace function trunkline.capture_source(i_operation text, i_queue_id int4, i_plan jsonb, i_shape_id bigint)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue  pgq.queue;
    v_name   text := format('%L', format('%I.%I', i_plan ->> 'schema', i_plan ->> 'name'));
    v_shape  text := format('%L', i_shape_id::text);
    v_mark   text := format('trunkline.m_%s', i_plan ->> 'oid');
    v_put    text;
    v_row    text;
    v_live   text;
    v_old    text;
    v_keys   text;
    v_same   text;
    v_found  text;
    v_one    text;
    v_set    text;
    v_all    text;
    v_read   text;
    v_pair   text;
    v_chain  text := '';
    v_first  text;
    v_new    text := '''insert''';
    v_kept   text := '''update''';
    v_lost   text := '''delete''';
begin
    select * into strict v_queue from pgq.queue q where q.queue_id = i_queue_id;
    if i_operation = 'truncate' then
        return format($f$
declare
    v_rows int8;
begin
    v_rows := trunkline.put_%s('trunkline.1.truncate', %s, %s, null, null);
    return null;
end
$f$, i_queue_id, v_name, v_shape);
    end if;

    v_put := format($f$put_%s('trunkline.1.rows', %s, %s$f$, i_queue_id, v_name, v_shape);
    select format('row(%s)::text', string_agg(format('n.%I', c.col ->> 'name'), ', ' order by c.place)),
           format('row(%s)::text', string_agg(format('t.%I', c.col ->> 'name'), ', ' order by c.place))
      into v_row, v_live
      from jsonb_array_elements(i_plan -> 'columns') with ordinality c (col, place);
    select format('row(%s)::text', string_agg(format('o.%I', k.key ->> 'name'), ', ' order by k.place)),
           string_agg(format('o.%I as k%s', k.key ->> 'name', k.place), ', ' order by k.place),
           string_agg(format('o.%I %s n.%I', k.key ->> 'name', k.key ->> 'operator', k.key ->> 'name'),
                      ' and ' order by k.place),
           string_agg(format('t.%I %s d.k%s', k.key ->> 'name', k.key ->> 'operator', k.place), ' and ' order by k.place),
           format('row(%s)::text', string_agg(format('d.k%s', k.place), ', ' order by k.place)),
           format(case count(*) when 1 then '%s' else 'row(%s)' end,
                  string_agg(format('d.%I', k.key ->> 'name'), ', ' order by k.place))
      into v_old, v_keys, v_same, v_found, v_read, v_pair
      from jsonb_array_elements(i_plan -> 'keys') with ordinality k (key, place);

    if exists (select from jsonb_array_elements(i_plan -> 'columns') c (col)
                where c.col ->> 'key' is not null and not (c.col ->> 'text_equal')::bool) then
        v_new := 'case when pg_trigger_depth() = 1 then ''insert'' else ''live'' end';
        v_kept := 'case when pg_trigger_depth() = 1 then ''update'' else ''live'' end';
        v_lost := 'case when pg_trigger_depth() = 1 then ''delete'' else ''gone'' end';
    end if;

    -- Statements for transition rows: of one row, and of sets.
    if i_operation = 'insert' then
        v_one := format($f$%s, %s, %s, %s from newt n where not exists (select from newt x offset 1)$f$,
                        v_row, v_name, v_shape, v_new);
        v_set := format('v_rows := %s;', trunkline.capture_blocks(v_put, v_new,
                        format('select %s as x from newt n', v_row), ''));
    elsif i_operation = 'delete' then
        v_one := format($f$%s, %s, %s, %s from oldt o where not exists (select from oldt x offset 1)$f$,
                        v_old, v_name, v_shape, v_lost);
        v_set := format('v_rows := %s;', trunkline.capture_blocks(v_put, v_lost,
                        format('select %s as x from oldt o', v_old), ''));
    else
        -- IS TRUE keeps the planner from a join that needs to sort or hash: it is one row with one row.
        v_one := format($f$%s, %s, %s, %s from newt n, oldt o
             where not exists (select from newt x offset 1) and (%s) is true$f$, v_row, v_name, v_shape, v_kept, v_same);
        -- Both tables hold their rows in the order of the updates, so where no key changed their keys are equal side by
        -- side. That is a proof, whatever the order was, and takes a tenth of the time of EXCEPT. It is looked for where
        -- keys are of fixed length: a million of them are far from the 1 GB that an array may have.
        -- Else EXCEPT: NOT EXISTS planned for one row takes 25 s on 200,000. Where keys did change, EXECUTE plans for
        -- the rows that are there.
        v_set := format($f$if %1$s then
                v_rows := 0;
            else
                v_rows := %2$s;
            end if;
            if v_rows = 0 then
                v_rows := %3$s;
            else
                execute %4$L into v_more;
                v_rows := v_rows + v_more;
                execute %5$L into v_more;
                v_rows := v_rows + v_more;
            end if;$f$,
            case when (i_plan ->> 'fixed_key')::bool then format(
                '(select array_agg(%1$s) from (select o.* from oldt o limit 1000001) d)'
                ' = (select array_agg(%1$s) from (select o.* from newt o limit 1000001) d)'
                ' and not exists (select from newt x offset 1000000)', v_pair) else 'false' end,
            trunkline.capture_blocks(v_put, v_lost, format(
                'select %s as x from (select %s from oldt o except select %s from newt o) d', v_read, v_keys, v_keys), ''),
            trunkline.capture_blocks(v_put, v_kept, format('select %s as x from newt n', v_row), ''),
            'select ' || trunkline.capture_blocks(v_put, v_kept, format(
                'select %s as x from newt n where exists (select from oldt o where %s)', v_row, v_same), ''),
            'select ' || trunkline.capture_blocks(v_put, v_new, format(
                'select %s as x from newt n where not exists (select from oldt o where %s)', v_row, v_same), ''));
    end if;

    -- The statement for live rows. LATERAL with a limit is always looked up by key, whatever the first call had.
    v_all := case i_operation
        when 'insert' then format('select %s from newt o', v_keys)
        when 'delete' then format('select distinct %s from oldt o', v_keys)
        else format('select %s from oldt o union select %s from newt o', v_keys, v_keys)
    end;
    v_all := format('v_rows := %s;', trunkline.capture_blocks(v_put, 'b.kind', format(
        'select case when l.x is null then ''gone'' else ''live'' end as kind, coalesce(l.x, %s) as x '
        'from (%s) d left join lateral (select %s as x from only %I.%I t where %s '
        'and (current_setting(''transaction_isolation'') in (''read committed'', ''read uncommitted'') '
        'or trunkline.wrote(t.xmin)) limit 1) l '
        'on true', v_read, v_all, v_live, i_plan ->> 'schema', i_plan ->> 'name', v_found), 'b.kind, '));
    v_all := format($f$v_saved := trunkline.pin_plans();
        %s
        v_done := trunkline.unpin_plans(v_saved);$f$, v_all);

    for i in 0 .. v_queue.queue_ntables - 1 loop
        v_chain := v_chain || format($f$
    %1$s v_table = left(v_mark, 11) || '%2$s' then
        insert into %3$s_%2$s (ev_id, ev_time, ev_txid, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select nextval('%4$s'::regclass), now(), txid_current(), 'trunkline.1.rows', %5$s
               and current_setting('%6$s', true) is distinct from v_mark and set_config('%6$s', v_mark, true) <> ''
         limit 1;$f$,
            case when i = 0 then 'if' else 'elsif' end, i, v_queue.queue_data_pfx, v_queue.queue_event_seq, v_one, v_mark);
    end loop;
    -- FOUND is the one-row statement's; it is false where none of the chain ran.
    v_first := format($f$%2$s
    end if;
    if not found then
        if current_setting('%1$s', true) = v_mark then
            %4$s
        elsif exists (select from %5$s) then
            v_saved := trunkline.pin_plans();
            %3$s
            v_done := trunkline.unpin_plans(v_saved);
            v_done := set_config('%1$s', v_mark, true);
        end if;
    end if;$f$, v_mark, v_chain, v_set, v_all, case i_operation when 'delete' then 'oldt' else 'newt' end);

    return format($f$
#variable_conflict use_variable
declare
    v_mark  text := encode(timestamptz_send(statement_timestamp()), 'hex');
    v_table text := current_setting('trunkline.q_%1$s', true);
    v_rows  int8;
    v_more  int8;
    v_saved text[];
    v_done  text;%2$s
begin%3$s
    %4$s%5$s
    return null;
end
$f$, i_queue_id,
        trunkline.capture_pins(i_plan, 'declare'), trunkline.capture_pins(i_plan, 'set'),
        case when (i_plan ->> 'live')::bool then v_all else v_first end,
        trunkline.capture_pins(i_plan, 'restore'));
end
$$;
revoke all on function trunkline.capture_source(text, int4, jsonb, bigint) from public;
