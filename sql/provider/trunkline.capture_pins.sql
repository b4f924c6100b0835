-- Function trunkline.capture_pins(i_plan jsonb, i_part text): how a capture function pins the settings that the text of the
-- table's values depends on.
--
-- SET clauses do it, which also restore after an error. But up to version 13 each SET of DateStyle, IntervalStyle or
-- TimeZone sends a message to the writer's client, even if nothing changes: there these are tested and set only on a
-- mismatch, and set back at the end; an error takes them back with its (sub)transaction.
--
-- Arguments: i_part 'clauses' for CREATE FUNCTION, 'config' the same as pg_proc has it, a line each;
-- 'declare', 'set', 'restore' for the body.
-- Result: SQL text. Tables: none. Users must not: it is a part of trunkline.make_capture.
create or replace function trunkline.capture_pins(i_plan jsonb, i_part text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(string_agg(case
        when i_part = 'clauses' and not p.tested then format(E'\nset %s = %L', p.name, p.value)
        when i_part = 'config' and not p.tested then format(E'\n%s=%s', p.name, p.value)
        when i_part = 'declare' and p.tested then format(E'\n    v_%s text;', p.name)
        when i_part = 'set' and p.tested then format($f$
    if current_setting('%1$s') <> %2$L then
        v_%1$s := current_setting('%1$s');
        v_done := set_config('%1$s', %2$L, true);
    end if;$f$, p.name, p.value)
        when i_part = 'restore' and p.tested then format($f$
    if v_%1$s is not null then
        v_done := set_config('%1$s', v_%1$s, true);
    end if;$f$, p.name)
        end, '' order by p.name), '')
      from (
        select s.name,
               s.name in ('DateStyle', 'IntervalStyle', 'TimeZone')
               and current_setting('server_version_num')::int4 < 140000 as tested,
               case s.name
                   when 'DateStyle' then 'ISO, MDY'
                   when 'IntervalStyle' then 'postgres'
                   when 'TimeZone' then 'UTC'
                   when 'bytea_output' then 'hex'
                   when 'extra_float_digits' then
                       case when current_setting('server_version_num')::int4 < 120000 then '3' else '1' end
                   when 'lc_monetary' then 'C'
                   when 'quote_all_identifiers' then 'off'
               end as value
          from jsonb_array_elements_text(i_plan -> 'settings') s (name)) p;
$$;
revoke all on function trunkline.capture_pins(jsonb, text) from public;
