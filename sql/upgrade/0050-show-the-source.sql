-- component: subscriber
-- A subscriber may be fed from an archive, and says so.
alter table trunkline.position add column source text;
