-- Function trunkline.make_triggers(i_root oid, i_table oid, i_form): hangs the capture functions of i_root on a
-- table: itself or a partition of it. i_form: the plan's form (trunkline.capture_form). The truncate trigger may be there
-- already. Where replay of this database writes the table, the triggers fire for that, too (trunkline.set_writers). Where the
-- queue's set takes no writes on this node, the table takes none either (trunkline.make_deny).
create or replace function trunkline.make_triggers(i_root oid, i_table oid, i_form text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_name      text;
    v_operation text;
begin
    select format('%I.%I', n.nspname, c.relname) into v_name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = i_table;
    if to_regclass('trunkline.role') is not null then
        perform trunkline.make_deny(q.queue_name, i_table)
           from trunkline.captured c join pgq.queue q on q.queue_id = c.queue_id where c.table_oid = i_root;
    end if;
    if not exists (select from pg_trigger t where t.tgrelid = i_table and t.tgname = 'trunkline_truncate') then
        execute format('create trigger trunkline_truncate after truncate on %s for each statement '
                       'execute procedure trunkline.capture_%s_truncate()', v_name, i_root);
    end if;
    if i_form = 'tree' then
        execute format('create trigger trunkline_row after insert or update or delete on %s for each row '
                       'execute procedure trunkline.capture_%s_row()', v_name, i_root);
    else
        foreach v_operation in array array['insert', 'update', 'delete'] loop
            execute format('create trigger trunkline_%1$s after %1$s on %2$s %4$s execute procedure trunkline.capture_%3$s_%1$s()',
                           v_operation, v_name, i_root,
                           case when i_form = 'rows' then 'for each row' else 'referencing ' || case v_operation when 'insert' then 'new table as newt' when 'delete' then 'old table as oldt'
                                            else 'old table as oldt new table as newt' end || ' for each statement' end);
        end loop;
    end if;
    if exists (select from trunkline.captured c where c.table_oid = i_root and c.writers <> '{}') then
        perform trunkline.enable_triggers(i_table, true);
    end if;
end
$$;
revoke all on function trunkline.make_triggers(oid, oid, text) from public;
