//! A batch as a reader hands it over: its header, then its changes, folded, in one or several parts.
//! Pure.

use std::{sync::Arc, time::SystemTime};

use sql::{
    event::{Mark, shape::Shape},
    queue::lineage::Lineage,
    script::Script,
    subscriber::position::Position,
};

use crate::{change::altered::Altered, fold::ChangeSet};

/// What a reader hands over: first `Begin`, then the parts of the batch, at least one.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    /// A batch begins.
    Begin(Header),
    /// Changes of the batch, folded.
    Part(Arc<BatchPart>),
    /// The reader hands over nothing more: the subscriber must read on from its position by itself.
    LetGo,
}

/// A batch as the provider announces it.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// The position that the batch begins at.
    pub from: Position,
    /// The position that the batch ends at.
    pub to: Position,
    /// When the last tick of the batch was made, by the provider's clock.
    pub to_time: SystemTime,
    /// Where the events come from, and what the last tick contains of other nodes' queues.
    pub lineage: Lineage,
    /// The batch may be of several ticks that have events.
    pub may_be_merged: bool,
}

/// A part of a batch: at most as many bytes as a reader may hold, and one event more.
#[derive(Debug, Default)]
pub(crate) struct BatchPart {
    /// The change sets of all tables, those of one table in order.
    pub sets: Vec<ChangeSet>,
    /// The new shapes of tables.
    pub shapes: Vec<Arc<Shape>>,
    /// The tables that have a row too large to be in the queue, by their oids on the provider.
    pub large: Vec<u32>,
    /// The events of which an operator has dropped rows, by their numbers.
    pub skipped: Vec<i64>,
    /// About how many bytes of memory the sets hold.
    pub bytes: usize,
    /// How many events were read for the part.
    pub events: u64,
    /// What comes after the part.
    pub end: End,
}

/// What comes after a part of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) enum End {
    /// The next part of the batch.
    #[default]
    Open,
    /// A step that is taken when all events before the step are written; the next part of the batch follows.
    Before(Barrier),
    /// Nothing: the batch is complete.
    Last {
        /// The provider had more events than the batch when it announced the batch: the batch is as large as a batch
        /// may be.
        others_follow: bool,
    },
}

/// A step in the order of events: all events before the step are written before the step is taken.
#[derive(Clone, Debug)]
pub(crate) enum Barrier {
    /// What capture says of a table's rows without giving them.
    Mark(Arc<Shape>, Mark),
    /// The columns of a table were changed.
    Altered(Arc<Shape>, Arc<Altered>),
    /// A script of DDL, which the reader's owner executes, or has executed.
    Script(Arc<Script>),
}

impl BatchPart {
    /// Whether the batch is complete with this part.
    pub(crate) fn is_last(&self) -> bool {
        match self.end {
            End::Last { .. } => true,
            End::Open | End::Before(_) => false,
        }
    }
}
