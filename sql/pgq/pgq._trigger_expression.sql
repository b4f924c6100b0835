-- pgq._trigger_expression(i_expression, i_path, i_row): the value of an expression in a trigger's arguments for a row, whose
-- columns it can name. Arguments: i_path: the search_path to read it with.
-- Result: its text; null for null, and for an empty expression. Errors: the expression's own; Expect 1 row from override
-- query. Tables touched: what the expression says, as the caller.
create or replace function pgq._trigger_expression(i_expression text, i_path text, i_row anyelement) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_value text;
    v_rows  bigint;
begin
    if btrim(i_expression) = '' then
        return null;
    end if;
    perform set_config('search_path', i_path, true);
    execute format($q$
        select pg_catalog.min(case when "x x"."v v" is distinct from null
                                   then pg_catalog.format('%%s', "x x"."v v") end), pg_catalog.count(*)
          from (select %s
                  from (select ($1).*) "r r") "x x" ("v v")$q$, i_expression)
       into v_value, v_rows using i_row;
    if v_rows <> 1 then
        raise exception 'Expect 1 row from override query, got %', v_rows using errcode = 'XX000';
    end if;
    return v_value;
end
$$;

-- pgq._trigger_condition(i_expression, i_path, i_row): the value of when=. Result: bool, not null.
-- Errors: the expression's own; when= query result must be boolean; when= should not be NULL.
create or replace function pgq._trigger_condition(i_expression text, i_path text, i_row anyelement) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_value text;
    v_type  oid := 0;
    v_rows  bigint := 1;
begin
    if btrim(i_expression) <> '' then
        perform set_config('search_path', i_path, true);
        execute format($q$
            select pg_catalog.min(case when "x x"."v v" is distinct from null
                                       then pg_catalog.format('%%s', "x x"."v v") end), pg_catalog.count(*),
                   pg_catalog.min(pg_catalog.pg_typeof("x x"."v v")::pg_catalog.oid::pg_catalog.int8)
              from (select %s
                      from (select ($1).*) "r r") "x x" ("v v")$q$, i_expression)
           into v_value, v_rows, v_type using i_row;
    end if;
    if v_rows <> 1 then
        raise exception 'Expect 1 row from override query, got %', v_rows using errcode = 'XX000';
    elsif v_type <> 'bool'::regtype then
        raise exception 'when= query result must be boolean, got=%', v_type using errcode = 'XX000';
    elsif v_value is null then
        raise exception 'when= should not be NULL' using errcode = 'XX000';
    end if;
    return v_value = 't';
end
$$;
