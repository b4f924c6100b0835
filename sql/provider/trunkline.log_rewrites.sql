-- Function trunkline.log_rewrites(i_captured, i_plan jsonb, i_shape_id): tells the queue which values of a table's rows a
-- command has set without an event, when the table went from its stored plan to this one.
--
-- A mark filled for a column that is new and has one value in all rows: any reader can set it, whatever he did before.
-- A mark digest for values that were computed row by row (ALTER TYPE ... USING, a volatile default) or come from another
-- column (a name that went over to another column) or read otherwise (labels of an enum that were renamed):
-- it has a checksum of the rows after the command, under its lock; a reader whose rows have the same one ran
-- the same command, and goes on. A mark resync where no checksum is taken, because the command itself wrote
-- nothing and the table is so large that reading it under the lock would be felt.
-- Result: none. Tables: reads the captured table; logs events. Users must not: it is a part of trunkline.refresh_capture.
create or replace function trunkline.log_rewrites(i_captured trunkline.captured, i_plan jsonb, i_shape_id bigint) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_old      jsonb := i_captured.plan -> 'columns';
    v_all      bool := (i_captured.rewritten & 4) <> 0;
    v_compared text[] := '{}';
    v_changed  text[];
    v_col      jsonb;
    v_before   jsonb;
    v_known    bool;
    v_digest   record;
begin
    for v_col in select c.col from jsonb_array_elements(i_plan -> 'columns') with ordinality c (col, place) order by c.place loop
        select o.col into v_before from jsonb_array_elements(v_old) o (col) where o.col -> 'name' = v_col -> 'name';
        v_known := exists (select from jsonb_array_elements(v_old) o (col) where o.col -> 'attnum' = v_col -> 'attnum');
        if v_before -> 'attnum' = v_col -> 'attnum' then
            if v_all or trunkline.type_changes_text(v_before ->> 'type', v_col ->> 'type')
               or trunkline.labels_renamed(i_captured.plan, i_plan, v_col ->> 'attnum') then
                v_compared := v_compared || (v_col ->> 'name');
            end if;
        elsif (v_col ->> 'attnum')::int4 > (i_captured.plan ->> 'highest')::int4 and (i_captured.rewritten & 6) = 0 then
            perform trunkline.log_mark(i_shape_id, 'filled', json_build_object('column', v_col ->> 'name',
                'value', trunkline.filled_value(i_captured.table_oid, v_col ->> 'name')));
        elsif not v_known or v_all or trunkline.name_was_taken(i_captured.table_oid, v_col ->> 'name', (v_col ->> 'attnum')::int4) then
            v_compared := v_compared || (v_col ->> 'name');
        end if;
    end loop;
    if v_compared = '{}' then
        return;
    end if;
    if i_captured.rewritten = 0 and trunkline.table_bytes(i_captured.table_oid) > 268435456 then
        perform trunkline.log_mark(i_shape_id, 'resync', json_build_object('why',
            'columns whose values came from elsewhere, in a table too large to be compared: '
            || (select string_agg(quote_ident(c), ', ') from unnest(v_compared) c)));
        return;
    end if;
    if not trunkline.may_read_part(i_captured, i_captured.table_oid) then
        perform trunkline.log_mark(i_shape_id, 'resync', json_build_object('why',
            'columns whose values came from elsewhere, in a table whose rows capture may not read: '
            || (select string_agg(quote_ident(c), ', ') from unnest(v_compared) c)));
        return;
    end if;
    v_changed := v_compared;
    -- A row is told by its key, or by all that it has.
    select array_agg(distinct c.col ->> 'name') into v_compared
      from jsonb_array_elements(i_plan -> 'columns') c (col)
     where c.col ->> 'name' = any (v_compared) or c.col ->> 'key' is not null or i_plan ->> 'identity' <> 'key';
    select * into v_digest from trunkline.digest(i_plan ->> 'schema', i_plan ->> 'name', v_compared,
                                                 case i_captured.plan ->> 'reader' when 'owner' then i_captured.table_oid end);
    perform trunkline.log_mark(i_shape_id, 'digest',
        json_build_object('columns', v_compared, 'changed', v_changed, 'rows', v_digest.rows, 'sum', v_digest.sum::text));
end
$$;
revoke all on function trunkline.log_rewrites(trunkline.captured, jsonb, bigint) from public;
