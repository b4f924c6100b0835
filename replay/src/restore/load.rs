//! Loads the parts of a base: each in a transaction of its own, in which it is noted, counted and hashed.

use std::io::{self, Read};

use admin::exit::Failure;
use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use futures::SinkExt as _;
use sql::{
    connect::Session,
    name::{TableName, quote_ident},
    subscriber::restore,
};
use tokio::{sync::mpsc, task::JoinSet};
use zstd::stream::read::Decoder;

use super::target::Restoring;
use crate::{
    archive::{
        hashed::{Hashed, Seen},
        store::Store,
    },
    frames::manifest::{Part, Table},
};

/// The size of the pieces in which rows are sent, about.
const PIECE_BYTES: usize = 256 << 10;

/// Pieces that wait to be sent.
const PIECES: usize = 8;

/// A part that is to be loaded.
#[derive(Clone, Debug)]
struct Job {
    consumer: String,
    /// What the step is noted as.
    step: String,
    /// The object's path in the archive.
    path: String,
    /// To whom it is sealed.
    sealed: Vec<String>,
    part: Part,
    /// `copy ... from stdin`.
    copy: String,
}

/// Loads all parts that are not loaded yet. Gives the number of rows, over all.
pub(super) async fn run(restoring: &Restoring<'_>, session: &Session) -> Result<u64, Failure> {
    let done = restore::done(&**session, restoring.consumer).await?;
    let mut waiting: Vec<Job> = jobs(restoring)
        .into_iter()
        .filter(|job| !done.contains(&job.step))
        .rev()
        .collect();
    let mut running = JoinSet::new();
    let mut idle = Vec::new();
    loop {
        while running.len() < restoring.streams
            && let Some(job) = waiting.pop()
        {
            let session = match idle.pop() {
                Some(session) => session,
                None => restoring.session().await?,
            };
            let store = restoring.store.clone();
            running.spawn(async move {
                let loaded = one(&session, &store, &job).await;
                (job, session, loaded)
            });
        }
        let Some(ended) = running.join_next().await else {
            break;
        };
        let (job, session, loaded) = ended.context("a stream of a restore broke off")?;
        loaded.with_context(|| format!("{} could not be loaded", job.path))?;
        idle.push(session);
    }
    let rows = restoring.tables.iter().map(|(table, _)| table.rows);
    Ok(rows.sum())
}

fn jobs(restoring: &Restoring<'_>) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (table, target) in &restoring.tables {
        for (number, part) in table.parts.iter().enumerate() {
            jobs.push(Job {
                consumer: restoring.consumer.to_owned(),
                step: format!("part {} {number}", table.oid),
                path: restoring.manifest.base.path(&part.object.path),
                sealed: restoring.manifest.sealed.clone(),
                part: part.clone(),
                copy: copy(table, target),
            });
        }
    }
    jobs
}

fn copy(table: &Table, target: &TableName) -> String {
    let columns: Vec<String> = table.columns.iter().map(|name| quote_ident(name)).collect();
    let columns = match columns.as_slice() {
        [] => String::new(),
        columns => format!(" ({})", columns.join(", ")),
    };
    let form = if table.binary { " (format binary)" } else { "" };
    format!("copy {}{columns} from stdin{form}", target.quoted())
}

/// Loads a part, unless it is loaded. A crash of the server may take the commit back, and with it the note of the part.
async fn one(session: &Session, store: &Store, job: &Job) -> anyhow::Result<()> {
    session
        .batch_execute(
            "begin isolation level read committed; set local synchronous_commit = off; \
             set local row_security = off",
        )
        .await?;
    if !restore::note(&**session, &job.consumer, &job.step).await? {
        session.batch_execute("rollback").await?;
        return Ok(());
    }
    let loaded = load(session, store, job).await;
    let end = if loaded.is_ok() { "commit" } else { "rollback" };
    let ended = session.batch_execute(end).await;
    loaded?;
    Ok(ended?)
}

async fn load(session: &Session, store: &Store, job: &Job) -> anyhow::Result<()> {
    let (pieces, mut taken) = mpsc::channel::<Bytes>(PIECES);
    let (store, path, sealed) = (store.clone(), job.path.clone(), job.sealed.clone());
    let unpacking = tokio::task::spawn_blocking(move || unpack(&store, (&path, &sealed), &pieces));
    let into = session.copy_in::<_, Bytes>(&job.copy).await?;
    futures::pin_mut!(into);
    let mut raw_bytes = 0;
    let mut refused = None;
    while let Some(piece) = taken.recv().await {
        raw_bytes += piece.len() as u64;
        if let Err(error) = into.feed(piece).await {
            refused = Some(error);
            break;
        }
    }
    drop(taken);
    // The file's own fault says more than what the server makes of it.
    let unpacked = unpacking.await.context("unpacking broke off")?;
    if let Some(refused) = refused {
        unpacked.and_then(|seen| is_as_written(&seen, job))?;
        return Err(refused.into());
    }
    is_as_written(&unpacked?, job)?;
    ensure!(
        raw_bytes == job.part.raw_bytes,
        "it has {raw_bytes} bytes of rows in place of {}",
        job.part.raw_bytes
    );
    let rows = into.finish().await?;
    ensure!(
        rows == job.part.rows,
        "{rows} rows were loaded in place of {}",
        job.part.rows
    );
    Ok(())
}

fn is_as_written(seen: &Seen, job: &Job) -> anyhow::Result<()> {
    let object = &job.part.object;
    ensure!(
        seen.bytes == object.bytes && seen.sha == object.sha,
        "it is not what was written: its size or its hash is another one"
    );
    Ok(())
}

/// Reads a part. Where nobody takes the pieces any more, it goes on to the end for the hash.
fn unpack(
    store: &Store,
    (path, sealed): (&str, &[String]),
    pieces: &mpsc::Sender<Bytes>,
) -> anyhow::Result<Seen> {
    let mut file = Hashed::new(store.open_object(path)?);
    let opened = store.identities().open(sealed, &mut file);
    let unpacked = opened.and_then(|opened| send(opened, pieces));
    io::copy(&mut file, &mut io::sink())?;
    let seen = file.finish().1;
    match unpacked {
        Ok(()) => Ok(seen),
        // A file that was changed is told by its hash.
        Err(error) => Err(anyhow!(error).context(format!(
            "it cannot be unpacked: its hash is {}, of {} bytes",
            seen.sha, seen.bytes
        ))),
    }
}

fn send(from: impl Read, pieces: &mpsc::Sender<Bytes>) -> io::Result<()> {
    let mut unpacking = Decoder::new(from)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = unpacking
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)?;
        if read == 0 || pieces.blocking_send(piece.into()).is_err() {
            return Ok(());
        }
    }
}
