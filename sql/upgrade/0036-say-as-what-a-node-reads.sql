-- component: base
-- A provider that comes back as a standby finds its place held for this consumer.
alter table trunkline.node add column consumer text;
