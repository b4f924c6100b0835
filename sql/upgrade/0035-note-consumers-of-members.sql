-- component: member
-- As what each node reads from its provider.
alter table trunkline.member add column consumer text;
