-- Function trunkline.known_provider(i_queue): the provider of a set, as far as this node knows: the one node that is
-- provider of the highest term that was heard of. It stays the same while it does not answer.
--
-- Result: node_id, name, number and client as in trunkline.node, and the term. No row: nobody is known to be it, because
-- it is fenced, was not heard yet, or is one of two; or this database is a copy that was restored elsewhere.
-- Tables: reads node, role, member, history. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.known_provider(
    i_queue text, out node_id bigint, out name text, out number int4, out client text, out term bigint)
returns setof record
language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_term bigint := greatest(
        (select r.term from trunkline.role r where r.queue_name = i_queue),
        (select max(m.term) from trunkline.member m where m.queue_name = i_queue),
        (select max(h.term) from trunkline.history h where h.queue_name = i_queue));
begin
    if trunkline.is_copy() then
        return;
    end if;
    return query
        with provider as (
            select n.node_id, n.name, n.number, n.client
              from trunkline.node n, trunkline.role r
             where r.queue_name = i_queue and r.role = 'provider' and r.term = v_term
            union all
            select m.node_id, m.name, m.number, m.client
              from trunkline.member m
             where m.queue_name = i_queue and m.role = 'provider' and m.term = v_term)
        select p.node_id, p.name, p.number, p.client, v_term from provider p where (select count(*) from provider) = 1;
end
$$;
revoke all on function trunkline.known_provider(text) from public;
