//! What becomes of an operation whose command has died, from what the two nodes say of it. The new provider's row is
//! the truth: once it says promoted, there is no way back. Pure.
//!
//! No row of a switchover has the step `freeze`; it counts as `prepare`.

use sql::operation::Step;

/// What a node says of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// The node does not answer.
    Silent,
    /// The node knows no such operation.
    Nothing,
    /// The node's row has this step.
    At(Step),
}

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// `--resume`.
    Resume,
    /// `--abort`; `force`: the new provider is off, whatever it has taken.
    Abort { force: bool },
}

/// What is to be done about the old provider when an operation is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    /// Its row is over, or it has none.
    Leave,
    /// Its row is aborted, and it takes writes again if the operation has fenced it.
    Restore,
    /// The same, as soon as it answers: the command has to be repeated.
    Later,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Go on from this step: Prepare, Fence or Open.
    GoOn(Step),
    /// Give it up: the new provider's row first, if `new`, then the old one's.
    GiveUp {
        /// The new provider's row is to be aborted.
        new: bool,
        /// What becomes of the old one.
        old: Old,
    },
    /// It is over: done, or aborted.
    Over(Step),
    /// Nothing may be done: the new provider may have been promoted, and does not answer.
    NewIsSilent,
    /// Nothing may be done: the old provider does not answer, and may take writes.
    OldIsSilent,
    /// Nothing may be given up any more: the new provider is the provider.
    IsPromoted,
    /// What the two say cannot be of one operation: a database was restored, or its rows were changed.
    Contradiction,
}

/// What is to be done.
pub(crate) fn course(wish: Wish, old: Known, new: Known) -> Course {
    // The old provider's row says so only after the new one's did.
    let old_saw_promotion = matches!(
        old,
        Known::At(Step::Promoted | Step::Open | Step::Follow | Step::Done)
    );
    match (wish, new) {
        (Wish::Resume, Known::At(Step::Promoted | Step::Open | Step::Follow)) => {
            Course::GoOn(Step::Open)
        }
        (Wish::Resume, Known::At(Step::Done)) => match old {
            Known::At(Step::Done | Step::Aborted) | Known::Nothing => Course::Over(Step::Done),
            Known::Silent | Known::At(_) => Course::GoOn(Step::Open),
        },
        (
            Wish::Abort { .. },
            Known::At(Step::Promoted | Step::Open | Step::Follow | Step::Done),
        ) => Course::IsPromoted,
        (Wish::Resume, Known::Silent) => Course::NewIsSilent,
        (Wish::Abort { force }, Known::Silent) => without_new(old, force),
        (_, Known::Nothing | Known::At(_)) if old_saw_promotion => Course::Contradiction,
        (Wish::Resume, Known::Nothing | Known::At(Step::Aborted)) => match old {
            Known::Silent => Course::OldIsSilent,
            Known::Nothing | Known::At(Step::Aborted) => Course::Over(Step::Aborted),
            Known::At(_) => Course::GiveUp {
                new: false,
                old: Old::Restore,
            },
        },
        (
            Wish::Resume,
            Known::At(Step::Prepare | Step::Freeze | Step::Fence | Step::CatchUp | Step::Promote),
        ) => before_promotion(old),
        (Wish::Abort { .. }, Known::Nothing | Known::At(_)) => {
            let is_over = matches!(new, Known::Nothing | Known::At(Step::Aborted));
            match old {
                Known::Nothing | Known::At(Step::Aborted) if is_over => Course::Over(Step::Aborted),
                Known::Nothing | Known::At(Step::Aborted) => Course::GiveUp {
                    new: !is_over,
                    old: Old::Leave,
                },
                Known::Silent => Course::GiveUp {
                    new: !is_over,
                    old: Old::Later,
                },
                Known::At(_) => Course::GiveUp {
                    new: !is_over,
                    old: Old::Restore,
                },
            }
        }
    }
}

/// The new provider is a standby still, and may be promoted.
fn before_promotion(old: Known) -> Course {
    match old {
        // Without it nobody knows that it is fenced still, and what its sequences are.
        Known::Silent => Course::OldIsSilent,
        // The command died between the two rows, or before the fence.
        Known::Nothing | Known::At(Step::Prepare | Step::Freeze) => Course::GoOn(Step::Prepare),
        // A fence that stands is looked at again, and gives the same final tick.
        Known::At(Step::Fence | Step::CatchUp | Step::Promote) => Course::GoOn(Step::Fence),
        Known::At(Step::Aborted) => Course::GiveUp {
            new: true,
            old: Old::Leave,
        },
        Known::At(Step::Promoted | Step::Open | Step::Follow | Step::Done) => Course::Contradiction,
    }
}

/// Gives an operation up whose new provider does not answer. It needs the final tick to be promoted, and that is made
/// in the transaction that takes the old one's row to catch-up: before that nothing has to be asked.
fn without_new(old: Known, force: bool) -> Course {
    let restore = Course::GiveUp {
        new: false,
        old: Old::Restore,
    };
    match old {
        Known::At(Step::Prepare | Step::Freeze | Step::Fence) => restore,
        Known::At(Step::CatchUp | Step::Promote) if force => restore,
        Known::At(Step::Promoted | Step::Open | Step::Follow | Step::Done) => Course::IsPromoted,
        Known::Silent
        | Known::Nothing
        | Known::At(Step::CatchUp | Step::Promote | Step::Aborted) => Course::NewIsSilent,
    }
}

#[cfg(test)]
mod tests;
