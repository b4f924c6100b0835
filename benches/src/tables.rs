//! The tables of a measurement and how many subscribers get them.

/// pgbench's tables and more, the same for every peer.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// pgbench scale: 100,000 accounts each.
    pub(crate) scale: u32,
    /// SQL that makes more tables, each with a key; run on the provider before
    /// the schema goes to the subscribers.
    pub(crate) more: String,
    /// Subscribers: databases of one server.
    pub(crate) subscribers: usize,
}

impl From<u32> for Tables {
    fn from(scale: u32) -> Self {
        Self {
            scale,
            more: String::new(),
            subscribers: 1,
        }
    }
}

impl Tables {
    /// The same tables with more tables.
    pub(crate) fn with(mut self, sql: impl Into<String>) -> Self {
        self.more = sql.into();
        self
    }

    /// The same tables for so many subscribers.
    pub(crate) fn for_subscribers(mut self, subscribers: usize) -> Self {
        self.subscribers = subscribers;
        self
    }
}
