//! What scripts are known, and what a person says of one that is not over on a subscriber.

use admin::{
    exit::{Exit, Failure},
    output,
};
use serde::Serialize;
use sql::{
    script::{
        logged,
        record::{self, Record, State},
    },
    subscriber::table_state,
};

use crate::command::{Job, label, subscriber::Opened, told_by};

/// A script in one database.
#[derive(Debug, Serialize)]
struct Listed {
    script: String,
    /// `provider`, or the subscriber's name; `subscriber` where it has none.
    at: String,
    state: &'static str,
    since: String,
    executed_by: String,
    digest: String,
    error: Option<String>,
    advice: Option<String>,
}

impl Listed {
    fn of(record: Record, at: &str) -> Listed {
        let (error, advice) = match record.why.filter(|_| !record.state.is_over()) {
            Some(why) => (Some(why.error), Some(why.advice)),
            None => (None, None),
        };
        Listed {
            script: record.id,
            at: at.to_owned(),
            state: record.state.as_str(),
            since: record.changed_at,
            executed_by: record.executed_by,
            digest: record.digest,
            error,
            advice,
        }
    }
}

/// Lists the scripts of the queue. Exit code 1: one is not over on a subscriber.
pub(super) async fn list(job: &Job, json: bool, only: Option<&str>) -> Result<Exit, Failure> {
    let mut listed = Vec::new();
    let mut is_open = false;
    if only.is_none() {
        let provider = job.provider().await?;
        job.has_queue(&provider).await?;
        let known = record::of_provider(&*provider, job.queue()).await?;
        listed.extend(known.into_iter().map(|one| Listed::of(one, "provider")));
    }
    for one in job.subscribers(only)? {
        let opened = Opened::of(job, one).await?;
        let known = record::list(&*opened.session, job.queue()).await?;
        is_open |= known.iter().any(|one| !one.state.is_over());
        listed.extend(
            known
                .into_iter()
                .map(|known| Listed::of(known, one.source_name())),
        );
    }
    if json {
        output::print_json(&listed)?;
    } else {
        let rows: Vec<Vec<String>> = listed
            .iter()
            .map(|one| {
                vec![
                    one.script.clone(),
                    one.at.clone(),
                    one.state.to_owned(),
                    one.since.clone(),
                    one.executed_by.clone(),
                    one.error.clone().unwrap_or_default(),
                    one.advice.clone().unwrap_or_default(),
                ]
            })
            .collect();
        let header = ["Script", "At", "State", "Since", "By", "Error", "Advice"];
        output::print(&output::listing(&header, &rows))?;
    }
    Ok(if is_open { Exit::Part } else { Exit::Done })
}

/// Has a script tried again.
pub(super) async fn retry(job: &Job, id: &str, only: Option<&str>) -> Result<Exit, Failure> {
    ask(job, id, only, State::Wanted, "is tried again").await
}

/// Drops a script on the subscribers where it is not over.
pub(super) async fn skip(job: &Job, id: &str, only: Option<&str>) -> Result<Exit, Failure> {
    ask(job, id, only, State::Skipped, "is skipped").await
}

async fn ask(
    job: &Job,
    id: &str,
    only: Option<&str>,
    state: State,
    word: &str,
) -> Result<Exit, Failure> {
    let mut asked = 0;
    for one in job.subscribers(only)? {
        let opened = Opened::of(job, one).await?;
        let session = &*opened.session;
        let open = record::open(session, &one.consumer).await?;
        let open: Vec<_> = open
            .into_iter()
            .filter(|open| open.script.id == id)
            .collect();
        if open.is_empty() {
            continue;
        }
        let further = logged::queues(session, &one.consumer).await?;
        if let (State::Skipped, Some(queue)) = (state, further.first()) {
            return Err(Failure::message(
                Exit::Failed,
                format!(
                    "nothing was done: {} passes scripts on into queue {queue}, and who reads it would not get {id}",
                    label(one)
                ),
            )
            .with_hint(format!(
                "make room for it (undo by hand what keeps it from being executed), and: replay execute --retry '{id}'"
            )));
        }
        asked += record::ask(session, &one.consumer, id, state, told_by().as_deref()).await?;
        if state.is_over() {
            for row in opened.tables().await? {
                if open
                    .iter()
                    .any(|open| open.script.touches(row.provider_oid, &row.table))
                {
                    table_state::try_now(session, &one.consumer, &row.table).await?;
                }
            }
        }
        job.say(&format!("{id}: {word} on {}", label(one)))?;
    }
    if asked > 0 {
        return Ok(Exit::Done);
    }
    Err(Failure::message(
        Exit::Failed,
        format!("nothing was done: no script {id} has failed or waits on a subscriber"),
    )
    .with_hint("see which there are: replay execute --list"))
}
