-- Function trunkline.capture_checked(i_operation, i_plan jsonb, i_body text): the body of a capture function behind a look at
-- the catalog, where there are no event triggers; else the body as it is.
--
-- If the table is not what the function was made for, trunkline.capture_changed says what to do instead. A snapshot of
-- REPEATABLE READ shows the catalog as it was, so there the names that the rows have are looked at, too.
-- Result: PL/pgSQL statements. Tables: none. Users must not: it is a part of trunkline.capture_source.
create or replace function trunkline.capture_checked(i_operation text, i_plan jsonb, i_body text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_oid   oid := (i_plan ->> 'oid')::oid;
    v_names text := 'null::text';
begin
    if i_plan ->> 'fingerprint' is null then
        return i_body;
    end if;
    if i_operation in ('insert', 'update', 'delete') and i_plan ->> 'form' is distinct from 'rows' then
        v_names := format('(select to_jsonb(x)::text from (select n.* from (values (1)) v left join %s n on false) x)',
                          case i_operation when 'delete' then 'oldt' else 'newt' end);
    end if;
    return format($f$if %1$s is distinct from %2$L
       or (tg_relid <> %3$s and not (%3$s = any (array(select trunkline.ancestors(tg_relid)))))
       or (current_setting('transaction_isolation') <> 'read committed' and %4$s <> %5$L) then
        v_done := trunkline.capture_changed(%3$s, tg_relid, %6$L, case when current_setting('transaction_isolation') <> 'read committed' then %4$s end);
        if v_done is not null then
            v_saved := trunkline.pin_plans();
            execute v_done into v_rows;
            v_done := trunkline.unpin_plans(v_saved);
        end if;
    else
    %7$s
    end if;$f$, trunkline.fingerprint_sql(v_oid, (i_plan ->> 'key_index')::oid), i_plan ->> 'fingerprint', v_oid,
        v_names, trunkline.column_names(v_oid),
        case when i_plan ->> 'form' = 'rows' and i_operation <> 'truncate' then 'row' else i_operation end, i_body);
end
$$;
revoke all on function trunkline.capture_checked(text, jsonb, text) from public;
