-- component: subscriber
-- A subscriber can move to another provider without a copy.
alter table trunkline.position add column address text;
alter table trunkline.table_state
    add column origins jsonb,
    add column overlap_tick_id bigint,
    add column needs_repair boolean not null default false,
    add column logged_from jsonb,
    add column target_oid oid,
    add column schema_now text,
    add column name_now text,
    add column column_now jsonb,
    add column origin_oids jsonb,
    add constraint table_state_name_now check ((schema_now is null) = (name_now is null)),
    add constraint table_state_place check ((tick_id is not null or origins is null and overlap_tick_id is null)
        and (not needs_repair or state = 'parked' and tick_id is null));
create table trunkline.left_upstream (
    consumer  text        not null references trunkline.position (consumer),
    epoch     bigint      not null,
    address   text,
    left_at   timestamptz not null default now(),
    primary key (consumer, epoch)
);
