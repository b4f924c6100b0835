//! The settings under which replicated tables are written, of a session or of a transaction. Pure.

/// `session_replication_role` of the sessions that write the subscriber's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRole {
    /// Triggers and foreign keys do not act. Setting this role requires a superuser, or a grant on the parameter.
    Replica,
    /// The role of an ordinary session: foreign keys are enforced, and tables whose triggers would act are refused. It
    /// requires no right.
    Origin,
}

/// The settings if replay's role may set the session's role: the subscriber's own triggers and foreign keys do not act
/// a second time. In both roles a row that row security hides is an error, and the commit is durable.
const REPLICA: &str = "set local session_replication_role = replica; \
     set local synchronous_commit = on; set local row_security = off";

/// Deferrable constraints are checked when all of the transaction is written.
const ORIGIN: &str = "set local synchronous_commit = on; set local row_security = off; \
     set constraints all deferred";

/// Rows are staged in the order of their keys, so that their pages are read one after the other and most are found in
/// the cache. The planner assumes a random page for each row. Without this setting it reads the whole table, through a
/// hash that goes to disk, for a fiftieth of its rows.
const PLANNER_SETTINGS: &str = "set random_page_cost = 0";

impl SessionRole {
    /// The role's name, as `session_replication_role` and `trunkline.position` have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SessionRole::Replica => "replica",
            SessionRole::Origin => "origin",
        }
    }

    /// The statements that give a transaction its settings for writing replicated tables.
    #[must_use]
    pub fn for_transaction(self) -> &'static str {
        match self {
            SessionRole::Replica => REPLICA,
            SessionRole::Origin => ORIGIN,
        }
    }

    /// The statements that give a session its settings for applying changes.
    #[must_use]
    pub fn for_session(self) -> String {
        let settings = self.for_transaction().replace("set local", "set");
        format!("{settings}; {PLANNER_SETTINGS}")
    }
}
