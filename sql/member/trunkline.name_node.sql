-- Function trunkline.name_node(i_name): says what this node is called in messages and in status of the other nodes.
-- Result: whether that is new. Errors: 22023 no name. Tables: writes trunkline.node. Users: the schema's owner, who may
-- grant EXECUTE.
create or replace function trunkline.name_node(i_name text) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if i_name is null or i_name = '' then
        raise exception 'a node without a name' using errcode = '22023';
    end if;
    update trunkline.node n set name = i_name where n.name is distinct from i_name;
    return found;
end
$$;
revoke all on function trunkline.name_node(text) from public;

-- Function trunkline.note_consumer(i_queue, i_consumer): says as what this node's replay reads a queue from a provider, for the
-- time when it comes back from being the provider. Result: whether that is new; false, too, where the node has no role in the
-- queue's set. Tables: writes trunkline.role. Users: the schema's owner.
create or replace function trunkline.note_consumer(i_queue text, i_consumer text) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update trunkline.role r set consumer = i_consumer where r.queue_name = i_queue and r.consumer is distinct from i_consumer;
    return found;
end
$$;
revoke all on function trunkline.note_consumer(text, text) from public;
