-- Function trunkline.sequence_values(i_queue, i_consumer): where the consumer's sequences stand now.
--
-- Arguments: i_consumer null: the sequences of all consumers of the queue.
-- Result: last_value as the sequence holds it: the last value given out, or the next one if is_called is false.
--         Sequences that were dropped are left out.
-- The quick way, pg_sequence_last_value, gives null before the first nextval, also after setval(..., false): then the
-- sequence itself is read. Tables: reads trunkline.captured_sequence and the sequences. Users: pgq_admin.
create or replace function trunkline.sequence_values(i_queue text, i_consumer text)
returns table (schema_name text, sequence_name text, last_value bigint, is_called bool, increment bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    for schema_name, sequence_name, last_value, increment in
        select n.nspname, c.relname, pg_sequence_last_value(c.oid), p.seqincrement
          from trunkline.captured_sequence s
          join pgq.queue q on q.queue_id = s.queue_id
          join pg_class c on c.oid = s.seq_oid
          join pg_namespace n on n.oid = c.relnamespace
          join pg_sequence p on p.seqrelid = c.oid
         where q.queue_name = i_queue and (i_consumer is null or i_consumer = any (s.consumers))
         order by 1, 2
    loop
        is_called := last_value is not null;
        if not is_called then
            execute format('select s.last_value, s.is_called from %I.%I s', schema_name, sequence_name)
               into last_value, is_called;
        end if;
        return next;
    end loop;
end
$$;
revoke all on function trunkline.sequence_values(text, text) from public;
grant execute on function trunkline.sequence_values(text, text) to pgq_admin;
