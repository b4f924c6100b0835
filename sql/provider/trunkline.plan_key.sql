-- Function trunkline.plan_key(i_table, i_identity, i_old jsonb): the part of a plan that says how rows are told apart:
-- {"wanted", "key_index", "keys" ("base": the enum that a key's domain is made of), "fixed_key", "lost": the
-- key that was is none any more}.
create or replace function trunkline.plan_key(i_table oid, i_identity text, i_old jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_wanted jsonb := nullif(i_old -> 'wanted', 'null');
    v_index  oid;
    v_keys   jsonb;
    v_fixed  bool;
    v_lost   bool := false;
begin
    if i_identity = 'key' and v_wanted is not null then
        select jsonb_agg(jsonb_build_object('attnum', w.attnum::int2, 'operator', trunkline.column_equality(i_table, w.attnum::int2))
                         order by w.place)
          into v_keys from jsonb_array_elements_text(v_wanted) with ordinality w (attnum, place);
        v_lost := trunkline.uncovered(i_table, array(select w::int2 from jsonb_array_elements_text(v_wanted) w)) is not null;
    elsif i_identity = 'key' then
        -- The old key if it still is one, else the primary key, the named identity, the only unique index.
        select k.index_oid into v_index
          from trunkline.usable_keys(i_table) k
         where k.index_oid = (i_old ->> 'key_index')::oid or k.is_primary or k.is_identity
            or (select count(*) from trunkline.usable_keys(i_table)) = 1
         order by (k.index_oid = (i_old ->> 'key_index')::oid) is true desc, k.is_primary desc, k.is_identity desc
         limit 1;
        v_keys := coalesce(trunkline.key_columns(v_index), nullif(i_old -> 'keys', 'null'));
        v_lost := v_index is null;
    end if;
    -- The operators of enums take no domain.
    select jsonb_agg(k.key || jsonb_build_object('name', a.attname, 'base', case when t.typtype = 'd' then
                         (select format_type(e.oid, -1) from pg_type e where e.oid = trunkline.base_type(t.oid) and e.typtype = 'e') end)
                     order by k.place), bool_and(a.attlen > 0 and t.typarray <> 0)
      into v_keys, v_fixed
      from jsonb_array_elements(v_keys) with ordinality k (key, place)
      join pg_attribute a on a.attrelid = i_table and a.attnum = (k.key ->> 'attnum')::int2 and not a.attisdropped
      -- Before PostgreSQL 11 there is no array of a domain.
      join pg_type t on t.oid = a.atttypid
    having count(*) = jsonb_array_length(v_keys);
    return jsonb_build_object('wanted', v_wanted, 'key_index', v_index::bigint, 'keys', v_keys,
                              'fixed_key', coalesce(v_fixed, false), 'lost', v_lost);
end
$$;
revoke all on function trunkline.plan_key(oid, text, jsonb) from public;

-- Function trunkline.base_type(i_type oid): what a domain is made of in the end; any other type is itself.
create or replace function trunkline.base_type(i_type oid) returns oid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive base (type, kind, below) as (
        select t.oid, t.typtype, t.typbasetype from pg_type t where t.oid = i_type
        union all
        select t.oid, t.typtype, t.typbasetype from base b join pg_type t on t.oid = b.below where b.kind = 'd'
    )
    select b.type from base b where b.kind <> 'd';
$$;
revoke all on function trunkline.base_type(oid) from public;
