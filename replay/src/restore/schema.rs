//! The schema of a restore: what comes before the rows, the indexes, and all else. Each is noted in the transaction
//! that makes it.

use std::{collections::HashSet, fs::File, io};

use admin::exit::{Exit, Failure};
use anyhow::{Context as _, anyhow};
use sql::{
    connect::Session,
    event::shape::Shape,
    name::{TableName, quote_ident},
    server,
    subscriber::restore,
};
use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;

use super::{
    entries::{Entry, Kind, entries, of_ours},
    target::Restoring,
};
use crate::{
    archive::hashed::Hashed,
    frames::manifest::Table,
    pg_dump::{Owners, PgDump, SESSION, for_server},
};

/// What is noted when the tables are made.
pub(crate) const MADE: &str = "schema";

/// The schema of a base, read.
pub(super) struct BaseSchema {
    pg_dump: PgDump,
    dump: File,
    owners: Owners,
    /// The server that is restored into.
    major: u32,
    /// The entries after the rows.
    after: Vec<Entry>,
}

impl BaseSchema {
    /// Reads the schema, and checks that it is as it was written.
    pub(super) async fn open(
        restoring: &Restoring<'_>,
        session: &Session,
    ) -> Result<BaseSchema, Failure> {
        let manifest = restoring.manifest;
        let path = manifest.base.path(&manifest.schema.path);
        let failed = || format!("{path} cannot be read");
        let mut file = Hashed::new(restoring.store.open_object(&path).with_context(failed)?);
        // `pg_restore` reads a file.
        let mut dump = tempfile::tempfile().context("could not make a temporary file")?;
        // A file that was changed is told by its hash.
        let copied = restoring
            .store
            .identities()
            .open(&manifest.sealed, &mut file)
            .and_then(|mut opened| io::copy(&mut opened, &mut dump));
        io::copy(&mut file, &mut io::sink()).with_context(failed)?;
        let seen = file.finish().1;
        if seen.sha != manifest.schema.sha || seen.bytes != manifest.schema.bytes {
            let text =
                format!("{path}: it is not what was written: its size or its hash is another one");
            return Err(Failure::message(Exit::Failed, text));
        }
        copied.with_context(failed)?;
        let pg_dump = PgDump::find(manifest.dump, "restore").await?;
        let list = pg_dump.list_section(&dump, "post-data").await;
        let list = list.with_context(failed)?;
        Ok(BaseSchema {
            pg_dump,
            dump,
            owners: match restoring.no_owner {
                true => Owners::Left,
                false => Owners::Kept,
            },
            major: server::major(&**session).await?,
            after: entries(&list).with_context(|| format!("{path} lists unknown entries"))?,
        })
    }

    /// Makes what comes before the rows, in one transaction.
    pub(super) async fn make(
        &self,
        restoring: &Restoring<'_>,
        session: &Session,
    ) -> Result<(), Failure> {
        let list = self.pg_dump.list_section(&self.dump, "pre-data").await?;
        let before = entries(&list).context("the schema lists unknown entries")?;
        let numbers: Vec<u32> = before.iter().map(|entry| entry.number).collect();
        let script = self.script(&numbers).await?;
        step(session, restoring.consumer, MADE, &script)
            .await
            .context("the schema could not be made, nothing was")?;
        Ok(())
    }

    async fn script(&self, numbers: &[u32]) -> anyhow::Result<String> {
        let script = self.pg_dump.sql(&self.dump, numbers, self.owners).await?;
        Ok(for_server(&script, self.major))
    }

    /// Builds the indexes, several at the same time.
    pub(super) async fn index(
        &self,
        restoring: &Restoring<'_>,
        session: &Session,
    ) -> Result<(), Failure> {
        let done = restore::done(&**session, restoring.consumer).await?;
        let indexes = self.of_kind(Kind::Index, &done);
        let mut waiting = Vec::new();
        for entry in indexes.into_iter().rev() {
            waiting.push((entry.clone(), self.script(&[entry.number]).await?));
        }
        let mut running = JoinSet::new();
        let mut idle = Vec::new();
        loop {
            while running.len() < restoring.streams
                && let Some((entry, script)) = waiting.pop()
            {
                let session = match idle.pop() {
                    Some(session) => session,
                    None => restoring.session().await?,
                };
                let consumer = restoring.consumer.to_owned();
                running.spawn(async move {
                    let made = step(&session, &consumer, &note(&entry), &script).await;
                    (entry, session, made)
                });
            }
            let Some(ended) = running.join_next().await else {
                break;
            };
            let (entry, session, made) = ended.context("building an index broke off")?;
            // An index of what is made later, such as a materialized view that needs a key, waits for that.
            if !made.as_ref().is_err_and(lacks_its_table) {
                made.with_context(|| could_not(&entry))?;
            }
            idle.push(session);
        }
        let done = restore::done(&**session, restoring.consumer).await?;
        let waits = !self.of_kind(Kind::Index, &done).is_empty();
        for entry in self.of_kind(Kind::Attach, &done) {
            let attached = self.one(restoring, session, entry).await;
            if !waits {
                attached?;
            }
        }
        Ok(())
    }

    /// Makes all that is left, in the order of the list. Gives what was left out: where a table was not restored to the
    /// end that may be a foreign key.
    pub(super) async fn finish(
        &self,
        restoring: &Restoring<'_>,
        session: &Session,
        lacks_rows: bool,
    ) -> Result<Vec<String>, Failure> {
        let done = restore::done(&**session, restoring.consumer).await?;
        let mut left_out = Vec::new();
        let entries = self.after.iter();
        for entry in entries.filter(|one| one.kind != Kind::Trigger && !done.contains(&note(one))) {
            let made = self.one(restoring, session, entry).await;
            match made {
                Err(failure) if lacks_rows && entry.kind == Kind::ForeignKey => {
                    left_out.push(format!("{}: {:#}", entry.label, failure.error));
                }
                made => made?,
            }
        }
        // Last of all, so that no event trigger fires for what is made.
        for entry in self.of_kind(Kind::Trigger, &done) {
            let script = self.script(&[entry.number]).await?;
            match of_ours(&script) {
                // Capture belongs to the provider that was.
                Some("trunkline") => continue,
                Some(schema) => {
                    left_out.push(format!("{}: it calls a function of {schema}", entry.label));
                    continue;
                }
                None => {}
            }
            step(session, restoring.consumer, &note(entry), &script)
                .await
                .with_context(|| could_not(entry))?;
        }
        Ok(left_out)
    }

    fn of_kind(&self, kind: Kind, done: &HashSet<String>) -> Vec<&Entry> {
        let of_kind = self.after.iter().filter(|entry| entry.kind == kind);
        of_kind
            .filter(|entry| !done.contains(&note(entry)))
            .collect()
    }

    async fn one(
        &self,
        restoring: &Restoring<'_>,
        session: &Session,
        entry: &Entry,
    ) -> Result<(), Failure> {
        let script = self.script(&[entry.number]).await?;
        let made = step(session, restoring.consumer, &note(entry), &script).await;
        Ok(made.with_context(|| could_not(entry))?)
    }
}

/// Whether a statement failed because the table that it is about is not there.
fn lacks_its_table(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<tokio_postgres::Error>();
    error.is_some_and(|error| error.code() == Some(&SqlState::UNDEFINED_TABLE))
}

fn note(entry: &Entry) -> String {
    format!("entry {}", entry.number)
}

fn could_not(entry: &Entry) -> String {
    format!("{} could not be made", entry.label)
}

/// Runs a script in one transaction, and notes it there; does nothing where it is noted.
async fn step(session: &Session, consumer: &str, name: &str, script: &str) -> anyhow::Result<()> {
    session
        .batch_execute("begin isolation level read committed")
        .await?;
    let made = async {
        if !restore::note(&**session, consumer, name).await? {
            return Ok(());
        }
        Ok(session
            .batch_execute(&format!("{SESSION}\n{script}"))
            .await?)
    };
    let made: anyhow::Result<()> = made.await;
    let end = if made.is_ok() { "commit" } else { "rollback" };
    let ended = session.batch_execute(end).await;
    made?;
    Ok(ended?)
}

/// Makes tables like those of the base, under other names: columns, and the key that changes are applied by. Rows are
/// what is wanted of them, so they have no defaults, checks, further indexes and triggers.
pub(super) async fn make_alike(
    restoring: &Restoring<'_>,
    session: &Session,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    for (table, target) in &restoring.tables {
        script.push(alike(table, target)?);
    }
    step(session, restoring.consumer, MADE, &script.join("; "))
        .await
        .context("the tables could not be made, none was")?;
    Ok(())
}

fn alike(table: &Table, target: &TableName) -> anyhow::Result<String> {
    let shape: Shape = serde_json::from_value(table.shape.clone())
        .map_err(|error| anyhow!(error).context(format!("the shape of {}", table.table())))?;
    let columns = shape.columns.iter();
    let mut parts: Vec<String> = columns
        .map(|column| format!("{} {}", quote_ident(&column.name), column.type_name))
        .collect();
    let key: Vec<String> = shape
        .key_fields()
        .iter()
        .map(|field| quote_ident(&shape.columns[*field].name))
        .collect();
    if !key.is_empty() {
        parts.push(format!("primary key ({})", key.join(", ")));
    }
    Ok(format!(
        "create table {} ({})",
        target.quoted(),
        parts.join(", ")
    ))
}

/// Makes the statistics of the tables, without which changes are applied slowly.
pub(super) async fn analyze(restoring: &Restoring<'_>, session: &Session) -> Result<(), Failure> {
    let names = restoring.tables.iter().map(|(_, target)| target.quoted());
    for name in names {
        let analyzed = session.batch_execute(&format!("analyze {name}")).await;
        analyzed.with_context(|| format!("{name} could not be analyzed"))?;
    }
    Ok(())
}
