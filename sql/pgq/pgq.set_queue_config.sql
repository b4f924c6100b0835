-- pgq.set_queue_config(x_queue_name, x_param_name, x_param_value): changes one setting of a queue.
-- Settings: ticker_max_count (1 to 1000000 events), ticker_max_lag (0 to 1 day), ticker_idle_period (0 to 1 day),
-- ticker_paused and external_ticker (boolean), rotation_period (1 second to 30 days), max_tables (3 to 100 event tables,
-- which rotation may add up to), retention_age (0 to 10 years: how old a consumer's oldest undone event may be),
-- retention_bytes (0 to 1 PB, as 1000000 or '5 GB': how much may follow its position), 0 for no limit, and
-- retention_action: warn, or detach the consumer (pgq.maint_retention).
-- Result: 1. Errors: Invalid NULL value; No such event queue; cannot change parameter; query string argument of EXECUTE is
-- null (the value); a value that is no such value, or out of range (the message names the range).
-- Tables touched: updates queue.
create or replace function pgq.set_queue_config(x_queue_name text, x_param_name text, x_param_value text) returns int4
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_range text;
    v_good  bool := true;
begin
    if x_queue_name is null or x_param_name is null then
        raise exception 'Invalid NULL value';
    end if;
    if not exists (select from pgq.queue q where q.queue_name = x_queue_name) then
        raise exception 'No such event queue' using detail = x_queue_name;
    end if;
    case x_param_name
    when 'ticker_max_count' then
        v_range := '1 to 1000000';
        v_good := x_param_value::int4 between 1 and 1000000;
    when 'ticker_max_lag', 'ticker_idle_period' then
        v_range := '0 to 1 day';
        v_good := x_param_value::interval between interval '0' and interval '1 day';
    when 'rotation_period' then
        v_range := '1 second to 30 days';
        v_good := x_param_value::interval between interval '1 second' and interval '30 days';
    when 'ticker_paused', 'external_ticker' then
        v_range := 'a boolean';
        v_good := x_param_value::bool is not null;
    when 'max_tables' then
        v_range := '3 to 100';
        v_good := x_param_value::int4 between 3 and 100;
    when 'retention_age' then
        v_range := '0 to 10 years';
        v_good := x_param_value::interval between interval '0' and interval '10 years';
    when 'retention_bytes' then
        v_range := '0 to 1 PB';
        x_param_value := pg_size_bytes(x_param_value);
        v_good := x_param_value::bigint between 0 and 1125899906842624;
    when 'retention_action' then
        v_range := 'warn or detach';
        v_good := x_param_value in ('warn', 'detach');
    else
        raise exception 'cannot change parameter "%s"', x_param_name;
    end case;
    if x_param_value is null then
        -- The error is that of PgQ.
        raise exception 'query string argument of EXECUTE is null' using errcode = '22004';
    end if;
    if not v_good then
        raise exception 'value % of % is out of range: %', x_param_value, x_param_name, v_range
            using errcode = '22023';
    end if;
    execute format('update pgq.queue q set %I = $1::%s where q.queue_name = $2', 'queue_' || x_param_name,
                   (select a.atttypid::regtype from pg_attribute a
                     where a.attrelid = 'pgq.queue'::regclass and a.attname = 'queue_' || x_param_name))
      using x_param_value, x_queue_name;
    return 1;
end
$$;
