-- Table trunkline.table_state: the replicated tables of each consumer, and how far each is.
--
-- Names are the provider's. States:
--   -            registered, waits for its copy
--   in-copy      its rows are being copied; with tick_id all of them are in, and what
--                trunkline.kept_ddl keeps of the table is being built
--   catching-up  the copy is committed; its own events are applied up to tick_id
--   wanna-sync   caught up to tick_id; the batch loop takes the last step
--   ok           its position is the consumer's
--   parked       cannot go on: error and advice say why. With tick_id its changes
--                wait in the queue, held by a helper consumer; without, it has
--                no copy yet and is copied again, unless it needs_repair.
-- A state is changed by compare-and-set on the old state, so two programs cannot both
-- take the same step. `ok` and `parked` of a table in state `ok` are set by the batch
-- loop alone; the other steps by the table's own task; rows are made by `add` and
-- deleted by `remove`. Which state has which columns is said by the constraints
-- table_state_stands and table_state_errors.
--
--   tick_id, tick_tag  while the table is not `ok`: up to where its own events are applied
--   origins          the same place in the logs further up, as trunkline.position.origins has it; null: not known
--   overlap_tick_id  the rows are further on than the place, since the table has come here from another log: the events up to
--                    this tick are applied once more, as states; null: they are not
--   needs_repair     parked, and its rows are of no place in the queue: it waits for `replay resync`
--   logged_from      where the table is captured here: the place from which on each change of the log that the consumer
--                    reads is in this database's log, too, tick by tick; null: not known (trunkline.mark_logged)
--   logged_txid      the transaction of this database that noted logged_from
--   target_oid       the table on the subscriber, when logged_from was noted: it is the same one under another name
--   schema_now, name_now  the provider's name of now, where it is known; the job goes on knowing the table by its first name
--   column_now       names of now of the columns in column_attnums and filter_attnums, where they are known: {"number": "name"}
--   origin_oids      its oids in the logs further up, nearest first: [[epoch, oid], ...]; noted while it is ok
--   origins_txid     the transaction of this database that noted origin_oids
--   existing         rows that the table already holds: refuse, truncate, trust (no copy),
--                    keep (merged by key), swap (there until the copy is complete) or keys (the provider's, but for the keys in
--                    trunkline.repair_key)
--   ignored          changes that its identity leaves out (insert-only: updates and deletes)
--   on_conflict      what to do with a row that is not as its change says: overwrite or stop;
--                    null: as the job's config says
--   try_now          the operator asks for a try before the rest of a parked table is over
--   error, advice    why the table is parked, or was before the copy that has just begun, without values of rows,
--                    and what to do about it
--   error_detail     the same error with what the server says beside its message, mostly the row; null: nothing more
--   copied_snapshot  the copy's snapshot on the provider: an event that it shows is in the copy
--   copied_tick_id, copied_tick_tag  a tick that shows all that the snapshot shows: the proof,
--                    until the table has passed it, that the provider is the copied one
--   copy_attempt     grows with each try, so that a left-over of an earlier one loads nothing
--   loading          what the table holds is of an unfinished try: the next one empties it
--   target_schema, target_name  the table that its rows are written to; null: the one of the provider's name of now
--   column_attnums, column_names  the columns that are replicated, by their numbers on the provider, and by the names that
--                    they had when the table was added; null: all
--   filter           the rows that are replicated: a condition in the provider's SQL, with all names qualified; null: all
--   filter_attnums, filter_names  the columns that the filter reads, by their numbers on the provider and by the names
--                    that the filter knows them by
--   merge_filter     the rows of target_name that are the job's, of which other jobs have others: a condition on its columns;
--                    null: all
--   merge_form       the same, with "{1}", "{2}", ... in place of the columns that merge_columns names

create table trunkline.table_state (
    consumer         text        not null references trunkline.position (consumer),
    schema_name      text        not null,
    table_name       text        not null,
    provider_oid     oid         not null,
    state            text        not null default '-'
        check (state in ('-', 'in-copy', 'catching-up', 'wanna-sync', 'ok', 'parked')),
    existing         text        not null default 'refuse'
        check (existing in ('refuse', 'truncate', 'trust', 'keep', 'swap', 'keys')),
    tick_id          bigint,
    tick_tag         bigint,
    copied_snapshot  text,
    rows_copied      bigint      not null default 0,
    bytes_copied     bigint      not null default 0,
    rows_estimated   bigint      not null default 0,
    conflicts        bigint      not null default 0,
    error            text,
    advice           text,
    changed_at       timestamptz not null default now(),
    started_at       timestamptz,
    copied_tick_id   bigint,
    copied_tick_tag  bigint,
    copy_attempt     bigint      not null default 0,
    loading          boolean     not null default false,
    ignored          bigint      not null default 0,
    on_conflict      text        check (on_conflict in ('overwrite', 'stop')),
    try_now          boolean     not null default false,
    target_schema    text,
    target_name      text,
    column_attnums   int2[],
    column_names     text[],
    filter           text,
    filter_attnums   int2[],
    filter_names     text[],
    error_detail     text,
    origins          jsonb,
    overlap_tick_id  bigint,
    needs_repair     boolean     not null default false,
    logged_from      jsonb,
    target_oid       oid,
    schema_now       text,
    name_now         text,
    column_now       jsonb,
    origin_oids      jsonb,
    logged_txid      bigint,
    origins_txid     bigint,
    merge_filter     text,
    merge_form       text,
    merge_columns    text[],
    primary key (consumer, schema_name, table_name),
    check (tick_id is not null or state in ('-', 'in-copy', 'ok', 'parked')),
    check ((tick_id is null) = (tick_tag is null)),
    check ((copied_snapshot is null) = (copied_tick_id is null)),
    check ((copied_tick_id is null) = (copied_tick_tag is null)),
    check ((target_schema is null) = (target_name is null)),
    check ((column_attnums is null) = (column_names is null)),
    check ((filter is null) = (filter_attnums is null) and (filter is null) = (filter_names is null)),
    constraint table_state_merge
        check ((merge_filter is null) = (merge_form is null) and (merge_filter is null) = (merge_columns is null)),
    constraint table_state_name_now check ((schema_now is null) = (name_now is null)),
    constraint table_state_place check ((tick_id is not null or origins is null and overlap_tick_id is null)
        and (not needs_repair or state = 'parked' and tick_id is null)),
    constraint table_state_stands check (case
        when state in ('-', 'ok') then tick_id is null and copied_snapshot is null
        when state = 'in-copy' then (tick_id is null) = (copied_snapshot is null)
        else tick_id is not null or copied_snapshot is null end),
    constraint table_state_errors check ((error is null) = (advice is null)
        and case state when 'parked' then error is not null
                       when 'in-copy' then error is null or tick_id is null
                       else error is null end)
);
-- What is under way is found without reading what is in sync, and who writes to a table without reading all.
create index table_state_unfinished on trunkline.table_state (state, consumer) where state <> 'ok';
create index table_state_logged on trunkline.table_state (consumer) where logged_from is not null;
create index table_state_merged on trunkline.table_state (consumer) where merge_filter is not null;
create index table_state_target on trunkline.table_state
    ((coalesce(target_schema, schema_name)), (coalesce(target_name, table_name)));
