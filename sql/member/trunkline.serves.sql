-- Function trunkline.serves(i_queue): whether applications write the tables of this queue here: this node is the
-- provider, or a plain one (the queue is here, and has no role). Never true on a server in recovery, nor of a copy of a
-- set's node that was restored elsewhere. A plain provider is of no set, and its copy is one, too. Ticker, lag and
-- subscribers do not count: a dead ticker must not take the provider's address away.
-- Tables: reads trunkline.role and pgq.queue. Users: everyone.
create or replace function trunkline.serves(i_queue text) returns bool
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_role text;
begin
    if pg_is_in_recovery() then
        return false;
    end if;
    select r.role into v_role from trunkline.my_role(i_queue) r;
    if found then
        return v_role = 'provider';
    end if;
    if to_regclass('pgq.queue') is null or trunkline.follows(i_queue) then
        return false;
    end if;
    return exists (select from pgq.queue q where q.queue_name = i_queue);
end
$$;

-- Function trunkline.follows(i_queue): whether replay brings the tables of a queue of this name into this database.
create or replace function trunkline.follows(i_queue text) returns bool
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regclass('trunkline.position') is null then
        return false;
    end if;
    return exists (select from trunkline.position p where p.queue = i_queue);
end
$$;
revoke all on function trunkline.follows(text) from public;
