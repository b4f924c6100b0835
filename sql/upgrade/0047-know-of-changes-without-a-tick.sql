-- component: member
-- A provider whose ticker is dead has taken more than its last tick says.
alter table trunkline.member add column untold_at timestamptz;
