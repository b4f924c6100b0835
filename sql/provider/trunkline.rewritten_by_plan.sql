-- Function trunkline.rewritten_by_plan(i_captured, i_plan jsonb): why rows may differ from what their events said when the
-- table changed from its stored plan to this one, as far as the two tell; null if they do not.
--
-- For installs without event triggers, which see a change later: at the next write, when rows may have been changed in
-- between. So nothing can be compared there, and what may have changed rows asks for a copy: a column that came with a
-- default, one that took another's name, one whose type is another, one whose enum has renamed labels.
create or replace function trunkline.rewritten_by_plan(i_captured trunkline.captured, i_plan jsonb) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select 'its definition was changed so that its rows may have changed with it: column '
           || string_agg(quote_ident(c.col ->> 'name'), ', ' order by c.place)
      from jsonb_array_elements(i_plan -> 'columns') with ordinality c (col, place)
      left join jsonb_array_elements(i_captured.plan -> 'columns') o (col) on o.col ->> 'name' = c.col ->> 'name'
     where (o.col is distinct from c.col and trunkline.name_was_taken(i_captured.table_oid, c.col ->> 'name', (c.col ->> 'attnum')::int4))
        or (o.col is null and (c.col ->> 'attnum')::int4 > (i_captured.plan ->> 'highest')::int4
            and (trunkline.filled_value((i_plan ->> 'oid')::oid, c.col ->> 'name') is not null
                 or i_captured.file_nodes <> trunkline.file_nodes(i_captured.table_oid)))
        or (o.col is null and (c.col ->> 'attnum')::int4 <= (i_captured.plan ->> 'highest')::int4
            and not exists (select from jsonb_array_elements(i_captured.plan -> 'columns') w (col)
                             where w.col ->> 'attnum' = c.col ->> 'attnum'))
        or trunkline.type_changes_text(o.col ->> 'type', c.col ->> 'type')
        or (o.col -> 'attnum' = c.col -> 'attnum' and trunkline.labels_renamed(i_captured.plan, i_plan, c.col ->> 'attnum'))
        or (o.col ->> 'type' <> c.col ->> 'type' and i_captured.file_nodes <> trunkline.file_nodes(i_captured.table_oid));
$$;
revoke all on function trunkline.rewritten_by_plan(trunkline.captured, jsonb) from public;
