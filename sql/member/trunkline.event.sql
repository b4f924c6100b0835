-- Table trunkline.event: what has happened to this node in the sets of its queues, for the programs beside it. The
-- node's replay logs each row and runs event_notification_command for it, in order; then the row is told.
--
--   event         its name; docs/ha.md has the list
--   ok            it is no failure
--   term          the node's term then; null: it had none
--   details       for a person; null: nothing more is to be said
--   other_node    the other node that has to do with it; null: none
--   told_at       when the command had ended with 0, or when there was none to run; null: not yet
--   tries, error  how often the command has failed, and how it did last
-- It holds a bounded number of rows: trunkline.tell_event deletes old ones.
-- Users must not write to it.
create table trunkline.event (
    event_id    bigint      not null generated always as identity primary key,
    queue_name  text        not null,
    event       text        not null check (event ~ '^[a-z][a-z0-9_]{0,62}$'),
    ok          boolean     not null,
    happened_at timestamptz not null default clock_timestamp(),
    term        bigint,
    details     text,
    other_node  bigint,
    told_at     timestamptz,
    tries       int4        not null default 0,
    error       text
);
create index event_of_queue on trunkline.event (queue_name, event_id);
create index event_untold on trunkline.event (queue_name, event_id) where told_at is null;
revoke all on table trunkline.event from public;
