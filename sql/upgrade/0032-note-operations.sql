-- component: member
-- What moves the provider of a set, and how far it is.
create table trunkline.operation (
    queue_name     text        not null,
    operation_id   bigint      not null,
    kind           text        not null check (kind in ('switchover', 'failover')),
    old_node       bigint      not null,
    old_name       text,
    new_node       bigint      not null,
    new_name       text,
    was_fenced     boolean     not null,
    step           text        not null check (step in ('prepare', 'fence', 'catch-up', 'promote', 'promoted', 'open',
                                                        'follow', 'done', 'aborted')),
    started_by     text        not null default session_user,
    started_at     timestamptz not null default clock_timestamp(),
    changed_at     timestamptz not null default clock_timestamp(),
    final_epoch    bigint,
    final_tick_id  bigint,
    final_tick_tag bigint,
    error          text,
    primary key (queue_name, operation_id),
    constraint operation_nodes check (old_node <> new_node),
    constraint operation_final check (num_nulls(final_epoch, final_tick_id, final_tick_tag) in (0, 3))
);
-- One at a time.
create unique index operation_running on trunkline.operation (queue_name) where step not in ('done', 'aborted');
revoke all on table trunkline.operation from public;
