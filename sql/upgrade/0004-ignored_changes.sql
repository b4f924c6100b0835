-- component: subscriber
-- Changes that a table's identity leaves out are counted; a target's columns tell more.
alter table trunkline.table_state add column ignored bigint not null default 0;
drop function trunkline.target_columns(text, text);
