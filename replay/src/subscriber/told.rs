//! What the operator has been told of a subscriber's troubles and is not over. Pure.

use admin::log::Once;

/// Whose trouble it is. The batch loop's counts before the other's: without it nothing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    BatchLoop,
    /// Looks after the tables and the provider's view of the subscriber: the batch loop may go on while it waits.
    TableTasks,
}

/// What has been told and is not over.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(super) logged: Once<Part>,
    pub(super) batch_loop: Option<Stored>,
    pub(super) table_tasks: Option<Stored>,
}

/// A trouble as `status` shows it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) text: String,
    pub(super) advice: Option<String>,
}

impl Told {
    /// The trouble of a part.
    pub(super) fn slot(&mut self, part: Part) -> &mut Option<Stored> {
        match part {
            Part::BatchLoop => &mut self.batch_loop,
            Part::TableTasks => &mut self.table_tasks,
        }
    }
}
