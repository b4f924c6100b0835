-- Table trunkline.lost: stretches of a log that a later provider never had: one row a place where another node became the
-- provider while this node, or another one of the set, went on. The changes are in trunkline.lost_change.
--
--   node_id, node_name   whose log it is: this node, or one that has sent them here
--   epoch, tick_id, tick_tag   the place in that log where the later provider's begins (trunkline.border)
--   upto_id, upto_tag    the last tick of the stretch
--   term       the reign that began at the place
--   whole      false: the log does not hold the stretch any more, so that nobody knows what is in it
--   tables     the number of changes of each table, by its name
--   file       where the changes are on that node's host, without .ndjson or .sql; null: nowhere
--   found_at   when they were found
--   sent_at    when the provider had them, too; null: not yet; there when it got them
--   handled_at, handled_by, handled_as   when, by whom and how the node was made to follow the later provider: an object of
--              each table's name with copy or keys, empty where the node was unfenced instead; null: not yet
-- A row that is handled stays: nodes that have applied more of that log go back by it and by its changes, which a person may
-- delete.
create table trunkline.lost (
    queue_name text        not null,
    node_id    bigint      not null,
    node_name  text,
    epoch      bigint      not null,
    tick_id    bigint      not null,
    tick_tag   bigint      not null,
    upto_id    bigint      not null,
    upto_tag   bigint      not null,
    term       bigint      not null,
    whole      boolean     not null,
    tables     jsonb       not null default '{}',
    file       text,
    found_at   timestamptz not null default clock_timestamp(),
    sent_at    timestamptz,
    handled_at timestamptz,
    handled_by text,
    handled_as jsonb,
    primary key (queue_name, epoch, tick_id)
);
revoke all on table trunkline.lost from public;
