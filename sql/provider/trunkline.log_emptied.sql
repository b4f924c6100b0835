-- Function trunkline.log_emptied(i_root oid, i_part jsonb): a part of a captured table holds no rows of it any more.
-- Arguments: i_part as trunkline.part_facts gives it.
create or replace function trunkline.log_emptied(i_root oid, i_part jsonb) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    select trunkline.log_mark(c.shape_id, 'emptied', (i_part - 'where')::json)
      from trunkline.captured c where c.table_oid = i_root and c.dropped_at is null;
$$;
revoke all on function trunkline.log_emptied(oid, jsonb) from public;
