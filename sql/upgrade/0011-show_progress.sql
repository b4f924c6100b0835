-- component: subscriber
-- How far a batch is that takes long.
alter table trunkline.position add column batch_rows bigint;
