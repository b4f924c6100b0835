//! Where schema pgq answers otherwise than PgQ 3.5, on purpose. Each is shown by a step of a script (`--! differs
//! NAME`) with both answers; a difference that no step shows any more fails the tests.

/// Name and reason.
pub(crate) const DIFFERENCES: &[(&str, &str)] = &[
    (
        "version",
        "the text starts with the same number and names us",
    ),
    (
        "first_tick",
        "a new queue's first tick says 0 events, not 1, or its first event would wait for the idle period",
    ),
    (
        "all_tables",
        "every event table of the queue is read: late writers lose nothing to rotation",
    ),
    ("ranges", "set_queue_config refuses values out of range"),
    (
        "called_as_function",
        "PL/pgSQL has its own words for a trigger function that is called",
    ),
    (
        "expression_is_one",
        "an expression of a trigger is one expression, not the rest of a SELECT",
    ),
    (
        "expression_names",
        "names in an expression are read as SQL reads them: A is a",
    ),
    ("key_updates", "changes of the key are captured"),
    ("text_is_compared", "values are compared as text"),
    (
        "settings_are_pinned",
        "the writer's session settings do not change the text of values",
    ),
    ("include_is_no_key", "INCLUDE columns are not key"),
    (
        "magic_columns",
        "columns named _pgq_ev_* are ordinary columns",
    ),
];

const NO_INDEX: &str = "open batches have no index, so that a consumer's row can be updated in place under a held snapshot";
const NOT_PUBLIC: &str = "nobody may call but what he was granted: version() and the information on queues and consumers are for everybody";
const NARROWER: &str = "no function writes where the admin says, and no event goes unread: no rights on the names of tables, no TRUNCATE";

/// Lines of the catalog that differ: the reason, theirs, ours (empty: ours has none of it).
pub(crate) const CATALOG: &[(&str, &str, &str)] = &[
    (
        NO_INDEX,
        "CREATE UNIQUE INDEX subscription_batch_idx ON pgq.subscription USING btree (sub_batch)",
        "",
    ),
    (
        NO_INDEX,
        "constraint pgq.subscription subscription_batch_idx UNIQUE (sub_batch)",
        "",
    ),
    (
        NOT_PUBLIC,
        "function quote_fqname(i_name text) returns text strict immutable, public",
        "function quote_fqname(i_name text) returns text strict immutable, pgq_reader pgq_writer",
    ),
    (
        NOT_PUBLIC,
        "function seq_getval(i_seq_name text) returns bigint strict volatile, public",
        "function seq_getval(i_seq_name text) returns bigint strict volatile, pgq_reader",
    ),
    (
        NARROWER,
        "right event_1 pgq_admin=insert pgq_admin=select pgq_admin=truncate pgq_reader=select",
        "right event_1 pgq_admin=insert pgq_admin=select pgq_reader=select",
    ),
    (
        NARROWER,
        "right event_1_0 pgq_admin=insert pgq_admin=select pgq_admin=truncate pgq_reader=select",
        "right event_1_0 pgq_admin=insert pgq_admin=select pgq_reader=select",
    ),
    (
        NARROWER,
        "right event_1_1 pgq_admin=insert pgq_admin=select pgq_admin=truncate pgq_reader=select",
        "right event_1_1 pgq_admin=insert pgq_admin=select pgq_reader=select",
    ),
    (
        NARROWER,
        "right event_1_2 pgq_admin=insert pgq_admin=select pgq_admin=truncate pgq_reader=select",
        "right event_1_2 pgq_admin=insert pgq_admin=select pgq_reader=select",
    ),
    (
        NARROWER,
        "right event_template pgq_admin=insert pgq_admin=select pgq_admin=truncate pgq_reader=select",
        "right event_template pgq_reader=select",
    ),
    (
        NARROWER,
        "right queue pgq_admin=delete pgq_admin=insert pgq_admin=select pgq_admin=update pgq_reader=select public=select",
        "right queue pgq_admin=select pgq_reader=select public=select",
    ),
];
