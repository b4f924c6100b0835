-- Function trunkline.wanted_identity(i_table oid, i_identity, i_columns text[]): the arguments of add_table as
-- trunkline.capture_plan takes them: {"identity", "wanted"}.
-- Errors: 22023 an identity that there is not; 42703 a column that there is not.
create or replace function trunkline.wanted_identity(i_table oid, i_identity text, i_columns text[]) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_wanted jsonb;
    v_bad    text;
begin
    if coalesce(i_identity, 'key') not in ('key', 'full', 'insert-only') or (i_identity <> 'key' and i_columns is not null) then
        raise exception 'identity % is not known', quote_literal(i_identity) using errcode = '22023',
            hint = 'key (with or without columns), full or insert-only.';
    end if;
    if i_columns is not null then
        select jsonb_agg(a.attnum order by w.place), string_agg(quote_ident(w.name), ', ') filter (where a.attnum is null)
          into v_wanted, v_bad
          from unnest(i_columns) with ordinality w (name, place)
          left join pg_attribute a on a.attrelid = i_table and a.attname = w.name and a.attnum > 0 and not a.attisdropped;
        if v_bad is not null then
            raise exception 'table % has no column %', i_table::regclass, v_bad using errcode = '42703',
                hint = 'Names are taken as they are, without folding to lower case.';
        end if;
    end if;
    return jsonb_build_object('identity', coalesce(i_identity, 'key'), 'wanted', v_wanted);
end
$$;
revoke all on function trunkline.wanted_identity(oid, text, text[]) from public;
