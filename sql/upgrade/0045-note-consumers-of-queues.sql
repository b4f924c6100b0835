-- component: member
-- Each queue of a database has a job of its own. The next `replay install` notes its consumer.
alter table trunkline.role add column consumer text;
