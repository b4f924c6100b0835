-- component: provider
-- Where a node became the provider, its tables by their oids in the logs before.
create table trunkline.border_table (
    queue_id    int4   not null references pgq.queue (queue_id) on delete cascade,
    epoch       bigint not null,
    log_oid     oid    not null,
    table_oid   oid    not null,
    logged_from jsonb  not null,
    primary key (queue_id, epoch, log_oid)
);
-- What is fenced already ends at its final tick.
do $do$
begin
    if to_regclass('trunkline.role') is not null then
        update pgq.queue q set queue_ends_at = r.final_tick_id
          from trunkline.role r where r.queue_name = q.queue_name and r.role = 'fenced';
    end if;
end
$do$;
