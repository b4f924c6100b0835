-- Function trunkline.shape_definition(i_plan jsonb): what a plan's shape event says, but for its number.
-- Tables: none. Users must not: nothing to fear.
create or replace function trunkline.shape_definition(i_plan jsonb) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'table', jsonb_build_object('schema', i_plan -> 'schema', 'name', i_plan -> 'name', 'oid', i_plan -> 'oid'),
        'identity', i_plan -> 'identity', 'live', i_plan -> 'live', 'partitioned', i_plan -> 'partitioned',
        'columns', i_plan -> 'columns')
        || case when i_plan ->> 'problem' is null then '{}' else jsonb_build_object('problem', i_plan -> 'problem') end;
$$;
revoke all on function trunkline.shape_definition(jsonb) from public;
