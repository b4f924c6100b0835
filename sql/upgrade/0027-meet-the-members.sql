-- component: member
-- A node that is heard of with two start times is two servers; and since when each node has its role.
alter table trunkline.member
    add column start_heard_at timestamptz not null default now(),
    add column since timestamptz,
    add column twin_heard_at timestamptz;
