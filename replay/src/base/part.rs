//! The parts of a base's tables: each is read by one COPY under the shared snapshot, packed, hashed and written.

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    sync::Arc,
};

use admin::exit::Failure;
use anyhow::{Context as _, anyhow};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use sql::{
    base,
    connect::Session,
    name::{TableName, quote_ident},
};
use tokio::{sync::mpsc, task::JoinSet};
use zstd::stream::write::Encoder;

use super::{
    making::{Making, Writing},
    pace::Pace,
    source::Source,
};
use crate::{
    archive::{
        hashed::{Hashed, Seen},
        seal::Recipients,
        store::{Create, Store, Unfinished},
    },
    copy::plan::CopyPart,
    frames::manifest::{Object, Part, Table, part_path},
};

/// Level 3 gains 2 % for half as much CPU again.
const LEVEL: i32 = 1;

/// The size of the pieces in which rows go on to be packed, about.
const PIECE_BYTES: usize = 256 << 10;

/// Pieces that wait to be packed.
const PIECES: usize = 8;

/// A part that is to be read.
struct Job {
    /// The table's place in the source.
    table: usize,
    /// The table, for errors.
    name: TableName,
    /// The part's number in its table.
    number: usize,
    /// `copy ... to stdout`.
    copy: String,
    binary: bool,
    path: String,
    /// The path in the archive.
    full_path: String,
    /// The bytes of its relation, with what lies beside the rows. One part may have nearly all of them: pages are cut
    /// by the rows alone, and before PostgreSQL 14 they are not cut.
    relation_bytes: u64,
}

/// Reads all tables, by several streams.
pub(super) async fn read_all(
    making: &Making<'_>,
    source: &mut Source,
    writing: Writing<'_>,
) -> Result<Vec<Table>, Failure> {
    let mut waiting: VecDeque<Job> = jobs(source, writing).into();
    let mut done: Vec<Vec<(usize, Part)>> = source.tables.iter().map(|_| Vec::new()).collect();
    let pace = making.pace.clone();
    let mut running = JoinSet::new();
    let mut idle = Vec::new();
    loop {
        while running.len() < making.streams
            && let Some(job) = waiting.pop_front()
        {
            let session = match idle.pop() {
                Some(session) => session,
                None => joined(making, source).await?,
            };
            let (store, pace) = (writing.store.clone(), pace.clone());
            let recipients = writing.recipients.clone();
            running.spawn(async move {
                let read = one(&session, (&store, recipients), &job, pace).await;
                (job, session, read)
            });
        }
        let Some(ended) = running.join_next().await else {
            break;
        };
        let (job, session, read) = ended.context("a stream of a base broke off")?;
        let part = read.with_context(|| format!("table {} could not be read", job.name))?;
        done[job.table].push((job.number, part));
        idle.push(session);
    }
    // The server ends the snapshot with its session, and then what was read last would be of another one.
    if !source.is_alive().await {
        return Err(anyhow!("the session that keeps the base's snapshot was lost").into());
    }
    let tables = source.tables.iter().zip(done);
    Ok(tables
        .map(|(table, mut parts)| {
            parts.sort_by_key(|(number, _)| *number);
            let parts: Vec<Part> = parts.into_iter().map(|(_, part)| part).collect();
            let shape = &table.kept.shape;
            Table {
                schema: table.kept.table.schema.clone(),
                name: table.kept.table.name.clone(),
                oid: table.kept.oid,
                columns: shape.columns.iter().map(|one| one.name.clone()).collect(),
                shape: table.kept.text.clone(),
                shape_sha: None,
                binary: table.binary,
                rows: parts.iter().map(|part| part.rows).sum(),
                conflicts: table.conflicts,
                parts,
            }
        })
        .collect())
}

fn jobs(source: &Source, writing: Writing<'_>) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (place, table) in source.tables.iter().enumerate() {
        let columns = table.kept.shape.columns.iter();
        let columns: Vec<String> = columns.map(|one| quote_ident(&one.name)).collect();
        let form = if table.binary { " (format binary)" } else { "" };
        for (number, part) in source.sizes.parts(&table.relations).into_iter().enumerate() {
            let Some(relation) = table.relations.get(part.relation) else {
                continue;
            };
            let select = select(&columns.join(", "), &relation.name, &part);
            let path = part_path(table.kept.oid, number);
            jobs.push(Job {
                table: place,
                name: table.kept.table.clone(),
                number,
                copy: format!("copy ({select}) to stdout{form}"),
                binary: table.binary,
                full_path: writing.name.path(&path),
                relation_bytes: u64::try_from(relation.bytes).unwrap_or_default(),
                path,
            });
        }
    }
    jobs
}

fn select(columns: &str, relation: &TableName, part: &CopyPart) -> String {
    let condition = part.condition();
    let condition = condition.map_or_else(String::new, |text| format!(" where {text}"));
    format!(
        "select {columns} from only {}{condition}",
        relation.quoted()
    )
}

/// A further session that reads the snapshot.
async fn joined(making: &Making<'_>, source: &Source) -> Result<Session, Failure> {
    let session = making.session(&source.info, source.schemas).await?;
    base::begin(&*session, &[]).await?;
    base::join(&*session, &source.exported).await?;
    Ok(session)
}

/// Reads a part. Rows are packed beside, so that the server does not wait for it.
async fn one(
    session: &Session,
    (store, recipients): (&Store, Recipients),
    job: &Job,
    pace: Option<Arc<Pace>>,
) -> anyhow::Result<Part> {
    let out = session.copy_out(&job.copy).await?;
    futures::pin_mut!(out);
    let (pieces, taken) = mpsc::channel::<Bytes>(PIECES);
    let file = store.begin(&job.full_path, job.relation_bytes)?;
    let packing = tokio::task::spawn_blocking(move || pack(file, &recipients, taken));
    let mut piece = BytesMut::with_capacity(2 * PIECE_BYTES);
    let mut messages: u64 = 0;
    let mut sent = true;
    while let Some(row) = out.next().await {
        messages += 1;
        piece.extend_from_slice(&row?);
        if piece.len() >= PIECE_BYTES {
            if let Some(pace) = &pace {
                pace.take(piece.len()).await;
            }
            sent = pieces.send(piece.split().freeze()).await.is_ok();
            if !sent {
                break;
            }
        }
    }
    if sent {
        // Where packing has failed, it says why below.
        let _ = pieces.send(piece.freeze()).await;
    }
    drop(pieces);
    let (seen, raw_bytes) = packing.await.context("packing broke off")??;
    // Each row is a message of its own. In binary form one with the end follows.
    let rows = match job.binary {
        true => messages.saturating_sub(1),
        false => messages,
    };
    Ok(Part {
        object: Object {
            path: job.path.clone(),
            bytes: seen.bytes,
            sha: seen.sha,
        },
        raw_bytes,
        rows,
    })
}

/// Packs, seals and writes what comes. Gives what was written, and the number of bytes before.
fn pack(
    file: Unfinished,
    recipients: &Recipients,
    mut pieces: mpsc::Receiver<Bytes>,
) -> io::Result<(Seen, u64)> {
    let mut packing = Encoder::new(recipients.seal(Hashed::new(file))?, LEVEL)?;
    let mut raw_bytes = 0;
    while let Some(piece) = pieces.blocking_recv() {
        raw_bytes += piece.len() as u64;
        packing.write_all(&piece)?;
    }
    let (file, seen) = packing.finish()?.finish()?.finish();
    match file.finish()? {
        Create::Made => Ok((seen, raw_bytes)),
        Create::Exists => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
    }
}
