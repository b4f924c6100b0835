-- Function trunkline.remove_sequence(i_queue, i_consumer, i_schema, i_name): ends that.
-- Result: false if the consumer did not have it. Rows of sequences that are gone go with it, for all consumers.
-- Tables: writes trunkline.captured_sequence. Users: pgq_admin.
create or replace function trunkline.remove_sequence(i_queue text, i_consumer text, i_schema text, i_name text) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_done bool;
begin
    update trunkline.captured_sequence s set consumers = trunkline.consumers_left(i_queue, s.consumers, i_consumer)
      from pgq.queue q
     where q.queue_name = i_queue and s.queue_id = q.queue_id and i_consumer = any (s.consumers)
       and s.seq_oid = to_regclass(format('%I.%I', i_schema, i_name));
    v_done := found;
    delete from trunkline.captured_sequence s
     where s.consumers = '{}' or not exists (select from pg_class c where c.oid = s.seq_oid and c.relkind = 'S');
    return v_done;
end
$$;
revoke all on function trunkline.remove_sequence(text, text, text, text) from public;
grant execute on function trunkline.remove_sequence(text, text, text, text) to pgq_admin;
