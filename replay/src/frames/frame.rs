//! A frame: the events after one position up to another one, all of them, as the queue has them. It comes in one or
//! several parts; a frame whose last part does not follow is as if it were not there.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::place::{Number, Place, Time};

/// What a part of a frame begins with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    /// The position that the frame begins after.
    pub from: Place,
    /// The position that the frame ends at.
    pub to: Place,
    /// The number of the part, from 0 on.
    pub part: u32,
    /// No further part follows.
    pub last: bool,
    /// Of part 0: the ticks after `from` up to `to`.
    pub ticks: Vec<TickEntry>,
    /// Of part 0: the queue's sequences that have changed since the frame before; all of them in a segment's first.
    /// They were read after the tick `to`.
    pub sequences: Vec<SequenceEntry>,
    /// The shapes (`sql/FORMAT.md`) that the part's events name and that the segment has not given yet, as the provider
    /// wrote them.
    pub shapes: Vec<Box<RawValue>>,
    /// What the provider knew of events when they were read and the events themselves do not say
    /// (`trunkline.event_now`): each event's number, and the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<(Number, String)>,
    /// Of part 0: the nodes that the events may come from, the queue's own first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<Number>,
    /// Of part 0: what the tick `to` contains of other nodes' queues, as `pgq.tick.tick_origins` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<String>,
}

/// A tick: number, tag, time by the provider's clock, and snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickEntry(pub Number, pub Number, pub Time, pub String);

/// A sequence: schema, name, value, whether the value was given out, and the step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceEntry(pub String, pub String, pub Number, pub bool, pub Number);

/// The tables of a queue that an archive goes on in, by their oids in the queue before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Heirs {
    /// The tables.
    pub tables: Vec<HeirEntry>,
}

/// A table on both sides of a border.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeirEntry {
    /// Its oid in the queue before.
    pub was: u32,
    /// Its oid in the queue that follows.
    pub oid: u32,
    /// Its schema on the provider that follows.
    pub schema: String,
    /// Its name there.
    pub name: String,
    /// Why not all of its changes after the border are in the queue that follows; null: all are.
    pub flaw: Option<String>,
    /// Its shape at the border; null: not known.
    pub shape: Option<Box<RawValue>>,
}

/// The number of columns of an archived event: ev_id, ev_txid, ev_time, ev_type, ev_data, ev_extra1 to ev_extra4.
pub const COLUMNS: usize = 9;

/// The places of an archived event's columns.
pub mod column {
    /// ev_id.
    pub const ID: usize = 0;
    /// ev_txid.
    pub const TXID: usize = 1;
    /// ev_time.
    pub const TIME: usize = 2;
    /// ev_type.
    pub const TYPE: usize = 3;
    /// ev_data.
    pub const DATA: usize = 4;
    /// ev_extra2: the shape's number.
    pub const SHAPE: usize = 6;
}
