//! How a table joins the replication: which tables are meant, whether both sides fit, and the order in which tables are
//! added. Both the commands and the daemon's `auto_add` call this module.

pub(crate) mod auto_add;
pub(crate) mod choose;
pub(crate) mod fit;
pub(crate) mod mapping;
pub(crate) mod merging;
pub(crate) mod order;
pub(crate) mod types;
