//! The status of everything. The databases are asked, not the daemons, because a daemon that hangs answers nothing.
//! `queues` asks for a ticker; `provider` and `subscribers` ask for a replay; `ask` bounds the questions. `verdict`
//! judges, `report` has the shapes, `tree` draws the picture.

mod archives;
mod ask;
mod facts;
mod of_queues;
mod promotable;
mod provider;
mod queues;
mod report;
mod roles;
mod set;
mod subscribers;
mod tree;
mod unknown;
pub mod verdict;

pub use ask::{Asking, PATIENCE};
pub use of_queues::{CONSUMER_LIMITS, HOLDER_LIMITS};
pub use promotable::Promotable;
pub use queues::{of_ticker, queues};
pub use report::{
    CaptureStatus, ConflictStatus, ConsumerStatus, DatabaseStatus, HolderStatus, Overview,
    ProviderStatus, QueuePace, QueueStatus, ReplayStatus, SubscriberState, SubscriberStatus,
    TableStatus, TickerStatus,
};
pub use subscribers::{of_replay, tables_of};
pub use tree::overview as draw;
