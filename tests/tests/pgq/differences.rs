//! Where schema pgq answers otherwise than PgQ 3.5, on purpose. Each is shown by a step of a script (`--! differs NAME`)
//! with both answers; a difference that no step shows any more fails the tests.

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
        "admin_tables",
        "no TRUNCATE of events, no rights on names of a queue's tables: functions of the owner use them",
    ),
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
