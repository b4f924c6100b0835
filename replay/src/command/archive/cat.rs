//! `replay archive cat`: the content of segments as lines of JSON.

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;
use serde_json::{Value, json};
use sql::event::tuple::{BadTuple, Tuple};

use super::{
    identity::IdentityArgs,
    opened::{Opened, open},
};
use crate::{
    archive::{
        chain::{self, Listing},
        unpacked,
    },
    command::Job,
    frames::{
        body::{Piece, Pieces},
        frame::{COLUMNS, column},
        segment::Name,
    },
};

/// The arguments of `archive cat`.
#[derive(Debug, clap::Args)]
pub(super) struct CatArgs {
    /// Segments, by number
    #[arg(value_name = "SEGMENT", required = true)]
    segments: Vec<u64>,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// The names of the columns that are texts.
const TEXTS: [&str; 6] = [
    "ev_type",
    "ev_data",
    "ev_extra1",
    "ev_extra2",
    "ev_extra3",
    "ev_extra4",
];

/// Runs the command.
pub(super) fn run(job: &Job, one: &ArchiveConfig, args: &CatArgs) -> Result<Exit, Failure> {
    let opened = args.identity.opens(job, open(job, one)?)?;
    let listing = Listing::read(&opened.store)
        .with_context(|| format!("archive {} cannot be listed", one.name))?;
    for number in &args.segments {
        let name = listing.segments.iter().find(|name| name.seq == *number);
        let name = name.with_context(|| format!("archive {} has no segment {number}", one.name))?;
        print(&opened, *name).with_context(|| format!("segment {name} cannot be read"))?;
    }
    Ok(Exit::Done)
}

fn print(opened: &Opened, name: Name) -> anyhow::Result<()> {
    let stored = chain::line(&opened.store, name)?;
    say(&json!({ "segment": stored.line }))?;
    let mut pieces = Pieces::new(unpacked::open(&opened.store, name, &stored)?);
    while let Some(piece) = pieces.read()? {
        match piece {
            Piece::Part(header) => say(&json!({ "part": header }))?,
            Piece::Event(tuple) => say(&json!({ "event": event(&tuple)? }))?,
            Piece::Heirs(heirs) => say(&json!({ "heirs": heirs }))?,
        }
    }
    Ok(())
}

fn say(line: &Value) -> anyhow::Result<()> {
    output::print(&format!("{line}\n")).map_err(|failure| failure.error)
}

/// An event; numbers of 64 bits are strings, the time is microseconds since 2000, as the server stores it.
fn event(tuple: &Tuple<COLUMNS>) -> Result<Value, BadTuple> {
    let mut event = json!({
        "ev_id": tuple.int8(column::ID)?.to_string(),
        "ev_txid": tuple.int8(column::TXID)?.to_string(),
        "ev_time": tuple.int8(column::TIME)?.to_string(),
    });
    for (name, place) in TEXTS.iter().zip(column::TYPE..) {
        let text = tuple.field(place).map(String::from_utf8_lossy);
        event[*name] = json!(text);
    }
    Ok(event)
}
