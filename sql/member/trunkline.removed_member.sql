-- Table trunkline.removed_member: nodes that somebody has taken out of a set, because they are gone. What others have heard
-- of such a node before then counts for nothing. A node that is heard again is a member again, and has no row here.
--
--   removed_at   when it was removed; where another node has said so, by this node's clock
-- Users must not write to it.
create table trunkline.removed_member (
    queue_name text        not null,
    node_id    bigint      not null,
    removed_at timestamptz not null default clock_timestamp(),
    primary key (queue_name, node_id)
);
revoke all on table trunkline.removed_member from public;
