-- component: subscriber
-- A failover keeps each node where it stands.
alter table trunkline.position add column held_by bigint;
