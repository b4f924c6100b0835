//! Tables on their way to the batch loop, and tables that cannot go on: each has a task of its own.

mod applied;
mod asked;
pub(crate) mod catch_up;
mod mend;
pub(crate) mod own_events;
mod pace;
pub(crate) mod parking;
mod sizes;
pub(crate) mod take_over;
pub(crate) mod tasks;
mod under_way;
