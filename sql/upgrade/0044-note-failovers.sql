-- component: member
-- How far the provider was when it was heard last, and what a failover has to say.
alter table trunkline.member add column last_tick_id bigint;
alter table trunkline.member add column last_tick_time timestamptz;
alter table trunkline.operation add column old_term bigint;
alter table trunkline.operation add column final_tick_time timestamptz;
alter table trunkline.operation add column heard_tick_id bigint;
alter table trunkline.operation add column heard_tick_time timestamptz;
alter table trunkline.operation add column sequence_margin int4;
alter table trunkline.operation drop constraint operation_step_check;
alter table trunkline.operation add constraint operation_step_check
    check (step in ('prepare', 'freeze', 'fence', 'catch-up', 'promote', 'promoted', 'open', 'follow', 'done', 'aborted'));
