-- Function trunkline.deny(): the trigger deny_trunkline of a table of a set whose node takes no writes. Its argument is
-- the queue's name. A statement trigger: it stops statements that touch no row, too, before any work is done.
--
-- It fires for ordinary sessions only: replay writes as a replica. 25006 is what a server in recovery says, which
-- drivers and poolers take for "the wrong node". Whether it fires is a matter of the trigger, never of a row that it
-- reads: a transaction with an old snapshot would not see that row, and commit after the final tick.
-- Tables: reads trunkline.role and trunkline.member for the hint. Users must not disable it: check fence tells.
create or replace function trunkline.deny() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_hint text;
begin
    select case when m.node_id is not null
                then format('Its provider is node %s.', coalesce(m.name, m.node_id::text) || coalesce(': ' || m.client, ''))
                when r.role = 'fenced'
                then concat(format('It was fenced at %s by %s', r.since, r.set_by), ': ' || r.reason, '.')
                when r.role = 'provider' then 'It is being opened: try again.'
                else 'Write on the provider.' end
      into v_hint
      from trunkline.role r
      left join lateral (select m.node_id, m.name, m.client from trunkline.member m
                          where m.queue_name = r.queue_name and m.role = 'provider' and m.term >= r.term
                            and r.role <> 'provider'
                          order by m.term desc, m.heard_at desc limit 1) m on true
     where r.queue_name = tg_argv[0];
    raise exception 'this node takes no writes for queue %: table %.%',
            tg_argv[0], quote_ident(tg_table_schema), quote_ident(tg_table_name)
        using errcode = '25006', hint = coalesce(v_hint, 'Write on the provider.');
end
$$;
revoke all on function trunkline.deny() from public;
