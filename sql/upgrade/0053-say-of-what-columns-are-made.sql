-- component: provider
-- A shape says of what its columns are made, for subscribers that change theirs by themselves.
alter table trunkline.shape add column made_of jsonb;
