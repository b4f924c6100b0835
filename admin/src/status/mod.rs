//! How everything stands: asked from the databases, not from the daemons, because a daemon that
//! hangs answers nothing. `report` has the shapes, `ask` the questions, `tree` the picture.

mod ask;
mod report;
mod tree;

pub use ask::{of_replay, of_ticker, queues, tables_of};
pub use report::{
    ConsumerStatus, DatabaseStatus, HolderStatus, Overview, ProviderStatus, QueuePace, QueueStatus,
    ReplayStatus, SubscriberState, SubscriberStatus, TableStatus, TickerStatus,
};
pub use tree::overview as draw;
