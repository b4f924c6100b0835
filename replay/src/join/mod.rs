//! How a table joins the replication: which tables are meant, whether both sides fit, and in which
//! order they are added. Commands and the daemon's `auto_add` both call it.

pub(crate) mod auto_add;
pub(crate) mod choose;
pub(crate) mod fit;
pub(crate) mod mapping;
pub(crate) mod order;
pub(crate) mod types;
