-- Table trunkline.script: the scripts of DDL that `replay execute` has run here, or that came through a queue.
--
-- On the provider a row is written in the script's own transaction, with the event; on a subscriber in the transaction that
-- runs the script and moves the position, so that no kill repeats or loses one. A row is never deleted: its id says that
-- the script was executed.
--
--   number       the order in which they came here
--   script_id    the script's name, mostly that of its file
--   digest       SHA-256 of its text: two texts of one name are two scripts, and the second one waits for a person
--   body         its text
--   state        done; ignored: its attributes say that it is not for this database; skipped: an operator has dropped it;
--                failed: error says why, and a person must act; waiting: it is executed as soon as what error names is over;
--                wanted: a person has asked to try again
--   queue        the queue that it went into, or came from
--   consumer     the consumer that it came to, whose state this is; empty: it was executed here first. What is done in a
--                database is done for all of its consumers
--   is_passed    the consumer's position is behind it, although it is not over
--   tick_id      a tick at which all changes before it of the tables that it touches were committed, and none after; null:
--                not known
--   tables       the tables of the log that it touches: [{"schema", "name", "oid"}, ...]
--   made         the tables and sequences that it has made, of `replay execute --add`: [{"kind", "schema", "name"}, ...]
--   told_by      the login of the client's system, as told
-- Nobody but the owner reads or writes it: what it holds is run with his rights.
create table trunkline.script (
    number      bigserial   primary key,
    script_id   text        not null,
    digest      text        not null,
    body        text        not null,
    state       text        not null
        check (state in ('done', 'ignored', 'skipped', 'failed', 'waiting', 'wanted')),
    queue       text        not null,
    consumer    text        not null default '',
    is_passed   boolean     not null default false,
    tick_id     bigint,
    tables      jsonb       not null default '[]',
    made        jsonb       not null default '[]',
    error       text,
    advice      text,
    executed_by text        not null default session_user,
    told_by     text,
    noted_at    timestamptz not null default clock_timestamp(),
    changed_at  timestamptz not null default clock_timestamp(),
    unique (consumer, script_id, digest),
    check ((error is null) = (advice is null) and (state <> 'failed' or error is not null))
);
create index script_open on trunkline.script (consumer) where state in ('failed', 'waiting', 'wanted');
revoke all on table trunkline.script from public;

-- Table trunkline.script_log: the scripts that queues of this database have the events of. Whoever may write events may not
-- write here, so an event without its row is not believed.
--
--   queue, script_id, digest   the queue and the script
--   txid         the transaction that has logged it: a snapshot that shows it has what the script did
--   tick_id, tables            as its event has them
create table trunkline.script_log (
    queue       text        not null,
    script_id   text        not null,
    digest      text        not null,
    txid        bigint      not null default txid_current(),
    tick_id     bigint,
    tables      jsonb       not null,
    primary key (queue, script_id, digest)
);
revoke all on table trunkline.script_log from public;
