//! Tables on their way to the batch loop, and tables that cannot go on: each has a task of its own.

pub(crate) mod catch_up;
pub(crate) mod own_events;
pub(crate) mod parking;
pub(crate) mod take_over;
pub(crate) mod tasks;
