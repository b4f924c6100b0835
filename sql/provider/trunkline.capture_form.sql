-- Function trunkline.capture_form(...): as what the capture triggers of a table are made, and why.
--
--  * statements: a trigger for each statement, whose rows become blocks. Right for every table, and many times as cheap for sets.
--  * rows: a trigger for each row, which writes it as an event at once (trunkline.capture_one). Two thirds of a statement
--    trigger where a statement has one row.
--  * tree: a row trigger that reads live rows, for tables of an inheritance tree (trunkline.capture_row).
-- The events are the same, so whoever reads them does not know. `rows` must be wanted: by name (choice), or by auto, which
-- has seen what the transactions of the table write (trunkline.suit_forms). It is not given where it could not be as right as
-- statements:
--  * without event triggers a row trigger could only say "copy me again" after each change of the table, because its
--    row is no table that another row could be compared with (trunkline.capture_changed);
--  * row triggers on a partitioned table need PostgreSQL 11, and its partitions come and go with triggers of their own;
--  * a table without a key is a sum, an event for each of its rows would be two;
--  * the proof that a row is live is its xmax, which another storage than heap may not have.
-- Arguments: i_tree the table is part of an inheritance tree; i_checked there are no event triggers; i_old the plan before.
-- Result: {"choice", "suits", "since": of auto's rows, the transaction that chose them, "reads": rows would be read by key,
--          "form", "why"}. Tables: the catalog. Users must not: it is a part of trunkline.capture_plan.
create or replace function trunkline.capture_form(i_class pg_class, i_tree bool, i_identity text, i_checked bool, i_old jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_choice text := coalesce(i_old ->> 'choice', 'auto');
    v_suits  bool := coalesce((i_old ->> 'suits')::bool, false);
    v_reads  bool := coalesce((i_old ->> 'reads')::bool, false);
    v_why    text;
    v_form   text := 'statements';
begin
    if i_tree then
        v_form := 'tree';
        v_why := 'it is part of an inheritance tree';
    elsif v_choice = 'statements' then
        v_why := 'chosen';
    elsif i_class.relkind = 'p' then
        v_why := 'it is partitioned';
    elsif i_identity <> 'key' then
        v_why := format('its identity is %s', i_identity);
    elsif i_checked then
        v_why := 'no event triggers follow its changes';
    elsif (select m.amname from pg_am m where m.oid = (to_jsonb(i_class) ->> 'relam')::oid) <> 'heap' then
        v_why := 'its storage is not heap';
    elsif v_choice = 'rows' then
        v_form := 'rows';
        v_why := 'chosen';
    elsif v_suits then
        v_form := 'rows';
        v_why := 'its transactions write few rows';
    elsif v_reads then
        v_why := 'its rows are locked before they are changed, so rows would be read by key';
    else
        v_why := 'its transactions write many rows, or it is not known yet';
    end if;
    return jsonb_build_object('choice', v_choice, 'suits', v_suits, 'since', i_old -> 'since', 'reads', v_reads, 'form', v_form, 'why', v_why);
end
$$;
revoke all on function trunkline.capture_form(pg_class, bool, text, bool, jsonb) from public;

-- Function trunkline.form_of(i_plan jsonb): the form of the triggers that a plan was carried out with; plans of earlier versions
-- do not say it.
create or replace function trunkline.form_of(i_plan jsonb) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(i_plan ->> 'form', case when (i_plan ->> 'rows')::bool then 'tree' else 'statements' end);
$$;
revoke all on function trunkline.form_of(jsonb) from public;
