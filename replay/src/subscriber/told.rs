//! The trouble of a subscriber that the operator has been told of and that is not over. Pure.

use admin::log::Once;

/// The part of a subscriber that has trouble. The batch loop's trouble counts first: without the batch loop nothing
/// goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TroubledPart {
    BatchLoop,
    /// The tasks of the tables, and the provider's view of the subscriber: the batch loop may go on while these wait.
    TableTasks,
}

/// The trouble that has been reported and is not over.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(super) logged: Once<TroubledPart>,
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
    pub(super) fn slot(&mut self, part: TroubledPart) -> &mut Option<Stored> {
        match part {
            TroubledPart::BatchLoop => &mut self.batch_loop,
            TroubledPart::TableTasks => &mut self.table_tasks,
        }
    }
}
