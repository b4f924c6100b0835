-- component: member
-- A standby logs what it applies where a further node of the set could need it.
alter table trunkline.role
    add column relaying boolean not null default false,
    add constraint role_relaying check (role = 'standby' or not relaying);
