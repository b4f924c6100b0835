//! How everything stands: asked from the databases, not from the daemons, because a daemon that
//! hangs answers nothing. `queues` asks for a ticker, `provider` and
//! `subscribers` for a replay, in the manner of `ask`; `verdict` judges, `report` has the shapes, `tree` the picture.

mod ask;
mod facts;
mod provider;
mod queues;
mod report;
mod subscribers;
mod tree;
pub mod verdict;

pub use ask::{Asking, PATIENCE};
pub use queues::{of_ticker, queues};
pub use report::{
    ConsumerStatus, DatabaseStatus, HolderStatus, Overview, ProviderStatus, QueuePace, QueueStatus,
    ReplayStatus, SubscriberState, SubscriberStatus, TableStatus, TickerStatus,
};
pub use subscribers::{of_replay, tables_of};
pub use tree::overview as draw;
