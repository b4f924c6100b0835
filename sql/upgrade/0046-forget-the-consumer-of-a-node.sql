-- component: base
-- A consumer is of a queue, not of a node.
alter table trunkline.node drop column consumer;
