//! A segment, the file of an archive: a line of JSON with the line's own hash, then the body. The line names the hash
//! of the line before it, so that a chain of segments is checked by reading first lines, and bodies against them.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::place::{Place, Time};

/// What the line says first: the format and its version.
pub const FORMAT: &str = "segment/1";

/// A line is shorter than this.
pub const LONGEST_LINE: usize = 64 << 10;

/// The line that a segment begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// [`FORMAT`].
    pub trunkline: String,
    /// The archive's identity.
    pub archive: String,
    /// The segment's number, from 1 on without a gap.
    pub seq: u64,
    /// The hash of the line before; of the first segment that of `archive.json`.
    pub prev: String,
    /// The position that the segment begins after.
    pub from: Place,
    /// The position that its last whole frame ends at.
    pub to: Place,
    /// The time of `from` by the provider's clock; null: not known.
    pub from_time: Option<Time>,
    /// The time of `to`.
    pub to_time: Option<Time>,
    /// Frames that end in the segment.
    pub frames: u64,
    /// Parts of frames in the segment.
    pub parts: u64,
    /// Events in the segment.
    pub events: u64,
    /// Bytes of the body before compression.
    pub raw_bytes: u64,
    /// Bytes of the body as stored.
    pub body_bytes: u64,
    /// The hash of the body as stored.
    pub body_sha: String,
    /// To whom the body is encrypted; empty: it is not.
    pub sealed: Vec<String>,
    /// The identity of the process that wrote the segment.
    pub writer: String,
    /// The node whose queue it is; null: it has no identity.
    pub node: Option<String>,
    /// Events are missing after the segment's begin; null: none.
    pub hole: Option<Hole>,
    /// The chain goes on in another queue; null: it does not.
    pub hop: Option<Hop>,
}

/// A border between the queues of two providers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The place where the queue before is left: the archive's end there or, if it has more of that queue, an earlier
    /// tick. What it has after that is no part of the history that goes on.
    pub from: Place,
    /// The place that is the same in the queue that follows.
    pub to: Place,
    /// How the provider has moved: `switchover`, `failover`, or `move`, where no history tells.
    pub kind: String,
    /// How many tables lack changes behind it; none: no table does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaws: Option<u64>,
}

/// A gap that had to be: the provider gave events away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// The last position before the gap.
    pub after: Place,
    /// Why the events are missing.
    pub why: String,
}

/// Why bytes do not begin with the line of a segment.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// There is no line, or one that is too long.
    #[error("its first line is missing or cut off")]
    CutOff,
    /// The line's hash is not that of its text.
    #[error("its first line is not what was written: its hash is another one")]
    Hash,
    /// The text is not what this version knows.
    #[error("its first line cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A newer version has written it.
    #[error("its format is {0:?}, and this version knows {FORMAT:?}")]
    Format(String),
}

impl Line {
    /// The line as it is stored, with its hash and its end.
    ///
    /// # Errors
    /// None with this type; the serializer's type has one.
    pub fn written(&self) -> Result<Written, serde_json::Error> {
        let json = serde_json::to_string(self)?;
        let sha = sha(json.as_bytes());
        Ok(Written {
            text: format!("{json} {sha}\n"),
            sha,
        })
    }

    /// Reads the line that bytes begin with: the line, its hash, and how many bytes it takes.
    ///
    /// # Errors
    /// [`BadLine`].
    pub fn read(bytes: &[u8]) -> Result<(Line, String, usize), BadLine> {
        let end = bytes
            .iter()
            .take(LONGEST_LINE)
            .position(|byte| *byte == b'\n');
        let end = end.ok_or(BadLine::CutOff)?;
        let space = bytes[..end].iter().rposition(|byte| *byte == b' ');
        let space = space.ok_or(BadLine::Hash)?;
        let (json, found) = (&bytes[..space], &bytes[space + 1..end]);
        let sha = sha(json);
        if found != sha.as_bytes() {
            return Err(BadLine::Hash);
        }
        #[derive(Deserialize)]
        struct Format {
            trunkline: String,
        }
        let Format { trunkline } = serde_json::from_slice(json)?;
        if trunkline != FORMAT {
            return Err(BadLine::Format(trunkline));
        }
        Ok((serde_json::from_slice(json)?, sha, end + 1))
    }

    /// Whether the segment has frames, and says nothing of a hole or a border.
    pub fn has_frames(&self) -> bool {
        self.hole.is_none() && self.hop.is_none()
    }

    /// The name that the segment has.
    pub fn name(&self) -> Name {
        Name::of(self.seq, self.from)
    }
}

/// A line as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The whole line.
    pub text: String,
    /// Its hash.
    pub sha: String,
}

/// The hash of bytes, in hexadecimal digits.
pub fn sha(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many segments one directory has.
const IN_DIRECTORY: u64 = 10_000;

/// A segment's name. All of it follows from the segment before, so that two writers want the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The segment's number.
    pub seq: u64,
    /// The epoch that it begins in.
    pub epoch: i64,
    /// The tick that it begins after.
    pub tick: i64,
}

impl Name {
    /// The name of the segment with a number that begins after a position.
    pub fn of(seq: u64, from: Place) -> Name {
        Name {
            seq,
            epoch: from.0.0,
            tick: from.1.0,
        }
    }

    /// The directory below `frames`.
    pub fn directory(&self) -> String {
        format!("{:04}", self.seq / IN_DIRECTORY)
    }

    /// Reads a file's name; None: no segment is called so.
    pub fn parse(file: &str) -> Option<Name> {
        let (seq, rest) = file.strip_suffix(".seg")?.split_once('-')?;
        let (epoch, tick) = rest.rsplit_once('-')?;
        let name = Name {
            seq: seq.parse().ok()?,
            epoch: epoch.parse().ok()?,
            tick: tick.parse().ok()?,
        };
        // One name only: no sign and no zeros but those that are written.
        (name.to_string() == file).then_some(name)
    }

    /// The segment's path in its archive.
    pub fn path(&self) -> String {
        format!("frames/{}/{self}", self.directory())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}-{}-{}.seg", self.seq, self.epoch, self.tick)
    }
}
