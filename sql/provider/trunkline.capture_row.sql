-- Function trunkline.capture_row(i_queue_id, i_plan jsonb, i_shape_id): what a row trigger does, for tables of an inheritance
-- tree. A statement that names a parent touches the rows of its children, and its transition rows do not say whose they
-- are; a row trigger is the row's own table's. NEW and OLD stand for the transition tables.
create or replace function trunkline.capture_row(i_queue_id int4, i_plan jsonb, i_shape_id bigint) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $f$
    select case when i_plan ->> 'identity' = 'key' then trunkline.capture_readable(i_plan, i_shape_id, b.sql) else b.sql end
      from (select format($q$v_saved := trunkline.pin_plans();
    if tg_op = 'INSERT' then
        v_rows := (%s);
    elsif tg_op = 'UPDATE' then
        v_rows := (%s);
    else
        v_rows := (%s);
    end if;
    v_done := trunkline.unpin_plans(v_saved);$q$, s.sql[1], s.sql[2], s.sql[3]) as sql
      from (select array_agg(case when i_plan ->> 'identity' = 'key'
                then trunkline.capture_live(o.operation, i_queue_id, i_plan, i_shape_id, '(select new.*)', '(select old.*)')
                else trunkline.capture_sums(o.operation, i_queue_id, i_plan, i_shape_id, '(select new.*)', '(select old.*)')
                end order by o.place) as sql
              from (values (1, 'insert'), (2, 'update'), (3, 'delete')) o (place, operation)) s) b;
$f$;
revoke all on function trunkline.capture_row(int4, jsonb, bigint) from public;
