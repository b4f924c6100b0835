-- Function trunkline.capture_source(i_operation text, i_queue_id, i_plan jsonb, i_shape_id): the body of a table's capture
-- function for insert, update, delete (statement triggers, or row triggers where the plan's form is rows:
-- trunkline.capture_one), row (a row trigger of an inheritance tree) or truncate.
--
-- A statement trigger's transition tables hold the rows of its own statement, but it fires after the statements nested
-- in it (of triggers, of functions in RETURNING) have logged theirs, so by then its rows may be stale. Therefore:
--  * the first capture on a table within a client statement logs its transition rows;
--  * every later one logs live rows (trunkline.capture_live), unless it is an INSERT whose rows nobody can have changed.
-- The mark of the first is the setting trunkline.m_<oid>, for the transaction: statement_timestamp's binary form, which no
-- setting can change. A setting is everybody's: that it is gone is noticed (trunkline.capture_first).
-- A capture without rows leaves no mark: an empty nested statement would make the outer one read
-- live for nothing, and ON CONFLICT fires two triggers.
-- A table with a foreign key whose actions write to it always logs live rows, and so does one with row triggers.
--
-- On a partitioned table the same functions serve the triggers of every level: a statement fires those of the table that
-- it names, and its rows have that table's column names, if not its order.
--
-- What insert, update and delete say of the time before holds for the database, and for a reader of events unless the
-- statement was nested: then the outer one, logged later, may have changed the key first, and its live row takes the
-- claim back. A reader who folds keys sees that; for keys that cannot be compared as text the order of events is all
-- there is, so nothing is claimed in triggers there.
--
-- One row, the common case, takes a path of its own without window or aggregate (trunkline.capture_chain). The others take
-- the path of sets.
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
    v_words record;
    v_live  text;
    v_body  text;
begin
    select * into v_words from trunkline.capture_words(i_queue_id, i_plan, i_shape_id);
    if i_operation = 'truncate' then
        v_body := format($f$if tg_relid = %s then
        v_rows := trunkline.put_%s('trunkline.1.truncate', %s, %s, null, null);
    else
        perform trunkline.log_emptied(%1$s, trunkline.part_facts(tg_relid));
    end if;$f$, i_plan ->> 'oid', i_queue_id, v_words.name, v_words.shape);
    elsif i_operation = 'row' then
        v_body := trunkline.capture_row(i_queue_id, i_plan, i_shape_id);
    elsif i_plan ->> 'form' = 'rows' then
        v_body := trunkline.capture_one(i_operation, i_queue_id, i_plan, i_shape_id);
    elsif i_plan ->> 'identity' <> 'key' then
        v_body := format($f$%1$s
    if found then
        null;
    elsif exists (select from %2$s) then
        v_saved := trunkline.pin_plans();
        v_rows := (%3$s);
        v_done := trunkline.unpin_plans(v_saved);
    end if;$f$, case i_operation when 'insert' then trunkline.capture_chain(i_queue_id, '''plus''::text', v_words.name, v_words.shape, v_words.new_row,
                    'newt n where ' || trunkline.capture_alone(i_operation, i_plan, v_words.may_be_large)) end,
            case i_operation when 'delete' then 'oldt' else 'newt' end,
            trunkline.capture_sums(i_operation, i_queue_id, i_plan, i_shape_id, 'newt', 'oldt'));
    else
        v_live := trunkline.capture_readable(i_plan, i_shape_id, format($f$v_saved := trunkline.pin_plans();
        v_rows := (%s);
        v_done := trunkline.unpin_plans(v_saved);$f$, trunkline.capture_live(i_operation, i_queue_id, i_plan, i_shape_id, 'newt', 'oldt')));
        v_body := case when (i_plan ->> 'live')::bool then v_live
                       else trunkline.capture_first(i_operation, i_queue_id, i_plan, i_shape_id, v_live) end;
    end if;
    return format($f$
#variable_conflict use_variable
declare
    v_mark  text%s;
    v_rows  int8;
    v_more  int8;
    v_first bool;
    v_saved text[];
    v_done  text;%s
begin%s
    %s%s
    return null;
end
$f$, case when i_plan ->> 'form' is distinct from 'rows' then ' := encode(timestamptz_send(statement_timestamp()), ''hex'')' end,
        trunkline.capture_pins(i_plan, 'declare'), trunkline.capture_pins(i_plan, 'set'),
        trunkline.capture_checked(i_operation, i_plan, v_body), trunkline.capture_pins(i_plan, 'restore'));
end
$$;
revoke all on function trunkline.capture_source(text, int4, jsonb, bigint) from public;
