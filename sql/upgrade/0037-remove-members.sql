-- component: member
-- Nodes that somebody has taken out of a set.
create table trunkline.removed_member (
    queue_name text        not null,
    node_id    bigint      not null,
    removed_at timestamptz not null default clock_timestamp(),
    primary key (queue_name, node_id)
);
revoke all on table trunkline.removed_member from public;
