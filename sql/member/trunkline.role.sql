-- Table trunkline.role: what this node is in the set of nodes of a queue's name. No row: a plain provider or
-- subscriber.
--
--   role          provider: takes the writes. fenced: takes none, until unfence or join. standby: applies what the
--                 provider writes, and could become it. reader: applies, and never becomes it
--   since         when the role became this one
--   term          the reign that the role belongs to: each promotion adds one to the highest that anybody has heard of
--   reason, set_by   why and by whom it was fenced; null and the one who made the row else
--   read_only     a fence also switches on default_transaction_read_only, by which clients find the provider
--   inserts_disabled  queue_disable_insert of the queue as the fence found it
--   final_epoch, final_tick_id, final_tick_tag, final_tick_time   the tick that shows all that was written before the
--                 fence; null where the role is not fenced
--   opening       some tables may still refuse writes although the role is provider (trunkline.open_tables)
--   relaying      a standby logs what replay writes here, because a further node of the set could need it (trunkline.relay)
--   consumer      as what this node's replay reads the queue from a provider, also while it is the provider itself; null: nobody
--                 has said
--   toggled_by    the transaction that is switching deny triggers at this moment, whose commands our event triggers
--                 leave alone; null after its commit
-- The row is also the lock of the set's list of tables: a fence takes it FOR UPDATE, whoever brings a table FOR SHARE.
-- Users must not write to it: triggers follow it, and a role that is only written down keeps nobody from writing.
create table trunkline.role (
    queue_name       text        not null primary key,
    role             text        not null check (role in ('provider', 'fenced', 'standby', 'reader')),
    since            timestamptz not null default now(),
    term             bigint      not null check (term >= 1),
    reason           text,
    set_by           text        not null default session_user,
    read_only        boolean     not null default true,
    inserts_disabled boolean     not null default false,
    final_epoch      bigint,
    final_tick_id    bigint,
    final_tick_tag   bigint,
    final_tick_time  timestamptz,
    opening          boolean     not null default false,
    toggled_by       bigint,
    relaying         boolean     not null default false,
    consumer         text,
    constraint role_final check (case when role = 'fenced'
        then num_nulls(final_epoch, final_tick_id, final_tick_tag, final_tick_time) = 0
        else num_nonnulls(final_epoch, final_tick_id, final_tick_tag, final_tick_time) = 0 end),
    constraint role_opening check (role = 'provider' or not opening),
    constraint role_relaying check (role = 'standby' or not relaying)
);
revoke all on table trunkline.role from public;
