-- Function trunkline.add_sequence(i_queue, i_consumer, i_schema, i_name): a consumer carries a sequence's value over.
-- Result: false if it did already. Errors: 42704 no such queue; 42P01 no such sequence; 42501 no right to read it.
-- Tables: writes trunkline.captured_sequence. Users need SELECT on the sequence (pgq_admin).
create or replace function trunkline.add_sequence(i_queue text, i_consumer text, i_schema text, i_name text) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_name     text := format('%I.%I', i_schema, i_name);
    v_oid      oid := (select c.oid from pg_class c where c.oid = to_regclass(v_name) and c.relkind = 'S');
    v_queue_id int4 := (select q.queue_id from pgq.queue q where q.queue_name = i_queue);
    v_role     text;
begin
    if v_queue_id is null then
        raise exception 'queue % does not exist', quote_literal(i_queue) using errcode = '42704';
    end if;
    if i_consumer is null then
        raise exception 'the consumer is null' using errcode = '22004';
    end if;
    if v_oid is null then
        raise exception 'sequence % does not exist', v_name using errcode = '42P01',
            hint = 'Names are taken as they are, without folding to lower case.';
    end if;
    foreach v_role in array array[session_user, current_user] loop
        if not has_sequence_privilege(v_role, v_oid, 'SELECT') then
            raise exception 'sequence % cannot be read by role %', v_name, quote_ident(v_role) using errcode = '42501',
                hint = format('GRANT SELECT ON SEQUENCE %s TO %I.', v_name, v_role);
        end if;
    end loop;
    insert into trunkline.captured_sequence as s (seq_oid, queue_id, consumers)
    values (v_oid, v_queue_id, array[i_consumer])
    on conflict (seq_oid, queue_id) do update set consumers = s.consumers || excluded.consumers
     where i_consumer <> all (s.consumers);
    return found;
end
$$;
revoke all on function trunkline.add_sequence(text, text, text, text) from public;
grant execute on function trunkline.add_sequence(text, text, text, text) to pgq_admin;
