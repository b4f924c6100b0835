//! `replay archive list`: what an archive covers.

use admin::{
    config::ArchiveConfig,
    exit::{Exit, Failure},
    output,
};
use anyhow::Context as _;
use serde::Serialize;

use super::opened::{open, time};
use crate::{
    archive::{
        bases::{Base, State},
        expire,
        line::History,
        retention::Status,
        verify::{self, Depth, Fault},
    },
    command::Job,
    frames::{
        manifest::Name,
        place::{Place, Time},
        segment::{Hole, Hop, Line},
    },
};

/// The arguments of `archive list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What an archive has.
#[derive(Debug, Serialize)]
struct Covers {
    stretches: Vec<Stretch>,
    bases: Vec<Listed>,
}

/// A base, as the list has it.
#[derive(Debug, Serialize)]
struct Listed {
    base: Name,
    /// `complete`, `incomplete`, `unfinished` or `damaged`; `branch`: it is of a tick that nothing goes on from.
    state: &'static str,
    /// The tick whose rows it has; null: not known.
    at: Option<Place>,
    time: Option<Time>,
    tables: usize,
    rows: u64,
    /// Bytes on the disk.
    bytes: u64,
    label: Option<String>,
    /// What the policy says of it, in barman's words; null: nothing, it is not whole.
    retention: Option<&'static str>,
    /// When it was last restored for a proof; null: never.
    verified: Option<String>,
}

impl Listed {
    fn of(base: &Base, status: Option<Status>) -> Listed {
        let nothing = |state| Listed {
            base: base.name.clone(),
            state,
            at: None,
            time: None,
            tables: 0,
            rows: 0,
            bytes: 0,
            label: None,
            retention: status.map(Status::word),
            verified: base.verified.clone(),
        };
        match &base.state {
            State::Unfinished => nothing("unfinished"),
            State::Damaged(_) => nothing("damaged"),
            State::Made(manifest) => Listed {
                at: Some(manifest.at),
                time: Some(manifest.time),
                tables: manifest.tables.len(),
                rows: manifest.rows(),
                bytes: manifest.bytes(),
                label: manifest.label.clone(),
                ..nothing(match manifest.is_complete() {
                    true => "complete",
                    false => "incomplete",
                })
            },
        }
    }
}

impl Listed {
    fn on_branch(mut self, history: &History) -> Listed {
        let at = self.at.and_then(|at| history.find(at));
        if at.is_some_and(|at| at.on_branch) {
            self.state = "branch";
        }
        self
    }
}

/// Segments that follow each other without a gap, in one provider's queue.
#[derive(Debug, Serialize)]
pub(super) struct Stretch {
    /// Number of the first segment.
    first: u64,
    /// Number of the last segment.
    last: u64,
    /// The position that the stretch begins after.
    from: Place,
    /// The position that it ends at.
    to: Place,
    /// The time of `from`; null: not known.
    from_time: Option<Time>,
    /// The time of `to`.
    to_time: Option<Time>,
    segments: u64,
    events: u64,
    /// Bytes on the disk, without the first lines.
    bytes: u64,
    /// Why there is no stretch before this one; null: it is the first, or follows the one before.
    hole: Option<Hole>,
    /// The border to the provider's queue before; null: there is none.
    hop: Option<Hop>,
    /// The last tick before this stretch that is on a branch: the history goes on from `hop.from`; null: there is no
    /// branch.
    branch: Option<Place>,
}

/// Runs the command.
pub(super) fn run(job: &Job, one: &ArchiveConfig, args: &ListArgs) -> Result<Exit, Failure> {
    let opened = open(job, one)?;
    let found = verify::archive(&opened.store, &opened.identity, Depth::Lines)
        .with_context(|| format!("archive {} cannot be listed", one.name))?;
    for Fault { object, what } in &found.faults {
        eprintln!("{object}: {what}");
    }
    let stretches = stretches(&found.lines);
    let (policy, minimum) = (one.retention, one.minimum_redundancy);
    let statuses = expire::statuses(&opened.store, policy, minimum, &found)
        .with_context(|| format!("archive {} cannot be listed", one.name))?;
    let history = expire::history(&found);
    let bases = found.bases.bases.iter().zip(statuses);
    let bases: Vec<Listed> = bases
        .map(|(base, status)| Listed::of(base, status).on_branch(&history))
        .collect();
    if args.json {
        output::print_json(&Covers { stretches, bases })?;
    } else {
        output::print(&table(&stretches))?;
        if !bases.is_empty() {
            output::print(&format!("\n{}", bases_table(&bases)))?;
        }
    }
    Ok(match found.faults.is_empty() {
        true => Exit::Done,
        false => Exit::Part,
    })
}

/// The stretches of a chain of segments.
pub(super) fn stretches(lines: &[Line]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let (mut hole, mut hop, mut branch) = (None, None, None);
    for line in lines {
        if !line.has_frames() {
            hole.clone_from(&line.hole);
            hop.clone_from(&line.hop);
            let left = line
                .hop
                .as_ref()
                .filter(|hop| line.hole.is_none() && hop.from != line.from);
            branch = left.map(|_| line.from);
            continue;
        }
        match stretches.last_mut() {
            Some(last)
                if hole.is_none()
                    && hop.is_none()
                    && last.to == line.from
                    && last.last + 1 == line.seq =>
            {
                last.last = line.seq;
                last.to = line.to;
                last.to_time = line.to_time;
                last.segments += 1;
                last.events += line.events;
                last.bytes += line.body_bytes;
            }
            Some(_) | None => stretches.push(Stretch {
                first: line.seq,
                last: line.seq,
                from: line.from,
                to: line.to,
                from_time: line.from_time,
                to_time: line.to_time,
                segments: 1,
                events: line.events,
                bytes: line.body_bytes,
                hole: hole.take(),
                hop: hop.take(),
                branch: branch.take(),
            }),
        }
    }
    stretches
}

/// A border in words.
fn border(hop: &Hop, branch: Option<Place>) -> String {
    let (kind, from) = (&hop.kind, hop.from);
    let branch = branch.map(|last| {
        let (first, last, epoch) = (from.1.0, last.1.0, last.0.0);
        format!(
            "; after tick {first}, up to {last}, is a branch that nothing goes on from: --epoch {epoch}"
        )
    });
    let flaws = hop.flaws;
    let flaws = flaws.map(|flaws| format!("; {flaws} tables lack changes behind it"));
    format!(
        "{kind} after tick {}{}{}",
        from.1.0,
        branch.unwrap_or_default(),
        flaws.unwrap_or_default()
    )
}

fn bases_table(bases: &[Listed]) -> String {
    let header = [
        "Base",
        "State",
        "Retention",
        "Tick",
        "Time",
        "Tables",
        "Rows",
        "Bytes",
        "Proven",
        "Label",
    ];
    let row = |one: &Listed| {
        vec![
            one.base.to_string(),
            one.state.to_owned(),
            one.retention.unwrap_or("-").to_owned(),
            one.at
                .map_or_else(|| "-".into(), |place| place.1.0.to_string()),
            time(one.time),
            one.tables.to_string(),
            one.rows.to_string(),
            one.bytes.to_string(),
            one.verified.clone().unwrap_or_else(|| "never".into()),
            one.label.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = bases.iter().map(row).collect();
    output::listing(&header, &rows)
}

fn table(stretches: &[Stretch]) -> String {
    let header = [
        "First",
        "Last",
        "From tick",
        "To tick",
        "From",
        "To",
        "Events",
        "Bytes",
        "Before it",
    ];
    let rows: Vec<Vec<String>> = stretches
        .iter()
        .map(|one| {
            let hole = one.hole.as_ref();
            vec![
                one.first.to_string(),
                one.last.to_string(),
                one.from.1.0.to_string(),
                one.to.1.0.to_string(),
                time(one.from_time),
                time(one.to_time),
                one.events.to_string(),
                one.bytes.to_string(),
                match (hole, &one.hop) {
                    (Some(hole), _) => format!("hole after tick {}: {}", hole.after.1.0, hole.why),
                    (None, None) => String::new(),
                    (None, Some(hop)) => border(hop, one.branch),
                },
            ]
        })
        .collect();
    output::listing(&header, &rows)
}
