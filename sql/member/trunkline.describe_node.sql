-- Function trunkline.describe_node(i_number, i_client): says by which number programs beside Trunkline know this node, and
-- how clients reach it (a connection string). Null: that stays as it is.
-- Result: whether something is new. Tables: writes trunkline.node. Users: the schema's owner, who may grant EXECUTE.
create or replace function trunkline.describe_node(i_number int4, i_client text) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update trunkline.node n set number = coalesce(i_number, n.number), client = coalesce(i_client, n.client)
     where n.number is distinct from coalesce(i_number, n.number)
        or n.client is distinct from coalesce(i_client, n.client);
    return found;
end
$$;
revoke all on function trunkline.describe_node(int4, text) from public;
