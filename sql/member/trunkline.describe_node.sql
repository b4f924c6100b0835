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

-- Function trunkline.prefer_node(i_priority): says which of several standbys that are equally far becomes the provider at a
-- failover: the one with the highest number; 0: this one never does.
-- Result: whether that is new. Errors: 22023 a number below 0. Tables: writes trunkline.node. Users: the schema's owner, who may
-- grant EXECUTE.
create or replace function trunkline.prefer_node(i_priority int4) returns bool
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if i_priority is null or i_priority < 0 then
        raise exception 'a priority is a number from 0 on' using errcode = '22023';
    end if;
    update trunkline.node n set priority = i_priority where coalesce(n.priority, 100) <> i_priority;
    return found;
end
$$;
revoke all on function trunkline.prefer_node(int4) from public;
