-- Function trunkline.log_own(i_consumer, i_table): tells who follows a table from here that a job does not write it any more:
-- from now on its rows are this node's own (sql/FORMAT.md). For replay, in the transaction that takes the table out of the job.
-- Result: none. Tables: reads captured, captured_part; logs an event if the table is captured.
-- Users must not call it: a consumer would not find the table at other nodes any more.
create or replace function trunkline.log_own(i_consumer text, i_table oid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform trunkline.log_mark(c.shape_id, 'own', '{}')
       from trunkline.captured c
      where c.table_oid = trunkline.captured_root(i_table) and c.dropped_at is null and i_consumer = any (c.writers);
end
$$;
revoke all on function trunkline.log_own(text, oid) from public;
