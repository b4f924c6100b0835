-- Function trunkline.choose_form(i_queue, i_schema, i_name, i_choice): says as what the capture triggers of a table are to
-- be made: statements, rows, or auto, which goes by what its transactions write (trunkline.suit_forms). Where rows cannot be
-- as right as statements the table keeps statements, and `why` says so.
--
-- To change the form it takes the table's triggers off and makes others, in one transaction and under ACCESS EXCLUSIVE: so no
-- transaction writes by both, and none by neither. It waits for the transactions of the moment no longer than the session's
-- lock_timeout, so the caller sets that short and tries again (55P03).
-- Result: form and why, as the table is captured now.
-- Errors: 22023 a choice that there is not; 42P01 no such captured table; 55P03; 55006 its capture is to be made anew first.
-- Tables: reads and writes trunkline.captured; replaces functions and triggers. Users: pgq_admin.
create or replace function trunkline.choose_form(
    i_queue text, i_schema text, i_name text, i_choice text, out form text, out why text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off
as $$
declare
    v_table oid;
begin
    if coalesce(i_choice, '') not in ('auto', 'statements', 'rows') then
        raise exception 'capture % is not known', quote_nullable(i_choice) using errcode = '22023', hint = 'auto, statements or rows.';
    end if;
    select c.table_oid into v_table
      from trunkline.captured c join pgq.queue q on q.queue_id = c.queue_id
     where q.queue_name = i_queue and c.table_oid = to_regclass(format('%I.%I', i_schema, i_name)) and c.dropped_at is null;
    if not found then
        raise exception 'table % is not captured into queue %', format('%I.%I', i_schema, i_name), quote_nullable(i_queue)
            using errcode = '42P01', hint = 'Add it first.';
    end if;
    perform trunkline.change_form(v_table, jsonb_build_object('choice', i_choice));
    select c.plan ->> 'form', c.plan ->> 'why' into form, why from trunkline.captured c where c.table_oid = v_table;
end
$$;
revoke all on function trunkline.choose_form(text, text, text, text) from public;
grant execute on function trunkline.choose_form(text, text, text, text) to pgq_admin;

-- Function trunkline.change_form(i_table oid, i_with jsonb): puts i_with (choice, suits) into the plan of a captured table, and
-- makes its triggers anew if that gives them another form.
-- Result: whether it did. Tables: as trunkline.choose_form. Users must not: it is a part of that, and of trunkline.upkeep.
create or replace function trunkline.change_form(i_table oid, i_with jsonb) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_captured trunkline.captured;
    v_plan     jsonb;
    v_name     text;
begin
    select format('%I.%I', n.nspname, r.relname) into v_name
      from pg_class r join pg_namespace n on n.oid = r.relnamespace where r.oid = i_table;
    select * into v_captured from trunkline.captured c where c.table_oid = i_table and c.dropped_at is null;
    v_plan := v_captured.plan || i_with;
    v_plan := v_plan || trunkline.capture_form(
        (select r from pg_class r where r.oid = i_table), (v_plan ->> 'rows')::bool, v_plan ->> 'identity',
        v_plan ->> 'fingerprint' is not null, v_plan);
    if v_plan ->> 'form' = trunkline.form_of(v_captured.plan) then
        update trunkline.captured c set plan = v_plan where c.table_oid = i_table and c.plan <> v_plan;
        return false;
    end if;
    -- No DDL may come between the table's lock and what the functions are made from, nor another change of form.
    execute format('lock table only %s in access exclusive mode', v_name);
    select * into v_captured from trunkline.captured c where c.table_oid = i_table and c.dropped_at is null for update;
    if not found or v_captured.refreshing then
        return false;
    end if;
    v_plan := trunkline.capture_plan(i_table, v_captured.plan || i_with);
    if v_plan -> 'columns' is distinct from v_captured.plan -> 'columns' or v_plan -> 'keys' is distinct from v_captured.plan -> 'keys'
       or v_plan -> 'problem' is distinct from v_captured.plan -> 'problem' or v_captured.problem is not null
       or i_table in (select l from trunkline.late_tables() l) then
        raise exception 'the capture of table % is to be made anew first', v_name using errcode = '55006', hint = 'Try again.';
    end if;
    -- The event triggers must not take this for somebody's theft of triggers.
    update trunkline.captured c set refreshing = true where c.table_oid = i_table;
    perform trunkline.drop_triggers(i_table);
    perform trunkline.make_capture(v_captured.queue_id, v_plan, v_captured.shape_id);
    perform trunkline.make_triggers(i_table, i_table, v_plan ->> 'form');
    update trunkline.captured c set plan = v_plan, refreshing = false where c.table_oid = i_table;
    return true;
end
$$;
revoke all on function trunkline.change_form(oid, jsonb) from public;
