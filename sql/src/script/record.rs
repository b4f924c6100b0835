//! Where scripts are recorded: `trunkline.script`, on the provider and on each subscriber.

use tokio_postgres::{GenericClient, Row};

use super::{Made, Script, Touched, logged::LoggedScript};
use crate::{
    error::Error,
    install::ownership::{Schema, relation_exists},
    name::TableName,
    queue::tick::{Epoch, TickId},
};

/// How far a script is in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was executed.
    Done,
    /// Its attributes say that it is not for this database.
    Ignored,
    /// An operator has dropped it.
    Skipped,
    /// It failed, and a person must act.
    Failed,
    /// It is executed as soon as what its error names is over.
    Waiting,
    /// A person has asked to try again.
    Wanted,
}

impl State {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Done => "done",
            State::Ignored => "ignored",
            State::Skipped => "skipped",
            State::Failed => "failed",
            State::Waiting => "waiting",
            State::Wanted => "wanted",
        }
    }

    /// Whether the changes behind it may be applied.
    pub fn is_over(self) -> bool {
        match self {
            State::Done | State::Ignored | State::Skipped => true,
            State::Failed | State::Waiting | State::Wanted => false,
        }
    }

    fn parse(word: &str) -> Result<State, Error> {
        [
            State::Done,
            State::Ignored,
            State::Skipped,
            State::Failed,
            State::Waiting,
            State::Wanted,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or_else(|| Error::Unexpected(format!("{word:?} is no state of a script")))
    }
}

/// Why a script is not over, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The reason, without values of rows.
    pub error: String,
    /// What to do.
    pub advice: String,
}

/// A script as a database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The order in which scripts came.
    pub number: i64,
    /// Its name.
    pub id: String,
    /// SHA-256 of its text.
    pub digest: String,
    /// How far it is.
    pub state: State,
    /// Why it is not over, where it failed or waits.
    pub why: Option<Why>,
    /// The role that has executed it, or brought it here.
    pub executed_by: String,
    /// When its state became this one.
    pub changed_at: String,
    /// What it has made, where that was asked for: kind, schema, name.
    pub made: Vec<(String, TableName)>,
}

/// A script that is not over on a subscriber, with all that is needed to execute it.
#[derive(Clone, Debug)]
pub struct OpenScript {
    /// The order in which scripts came.
    pub number: i64,
    /// How far it is.
    pub state: State,
    /// The script.
    pub script: Script,
    /// Why it is not over.
    pub why: Option<Why>,
    /// The consumer's position is behind it.
    pub is_passed: bool,
    /// It is as it is since some seconds.
    pub has_rested: bool,
}

const COLUMNS: &str = "number, script_id, digest, state, error, advice, executed_by, \
     to_char(changed_at, 'YYYY-MM-DD HH24:MI:SS TZ'), made::text";

fn failed() -> impl FnOnce(tokio_postgres::Error) -> Error {
    Error::database("read the scripts")
}

fn record(row: &Row) -> Result<Record, Error> {
    let read = || -> Result<_, tokio_postgres::Error> {
        let made: String = row.try_get(8)?;
        let state: String = row.try_get(3)?;
        let record = Record {
            number: row.try_get(0)?,
            id: row.try_get(1)?,
            digest: row.try_get(2)?,
            state: State::Done,
            why: why(row, 4)?,
            executed_by: row.try_get(6)?,
            changed_at: row.try_get(7)?,
            made: Vec::new(),
        };
        Ok((record, state, made))
    };
    let (record, state, made) = read().map_err(failed())?;
    let made: Vec<Made> = serde_json::from_str(&made)
        .map_err(|error| Error::Unexpected(format!("what a script has made: {error}")))?;
    Ok(Record {
        state: State::parse(&state)?,
        made: made
            .into_iter()
            .map(|one| (one.kind, TableName::new(one.schema, one.name)))
            .collect(),
        ..record
    })
}

fn why(row: &Row, at: usize) -> Result<Option<Why>, tokio_postgres::Error> {
    let error: Option<String> = row.try_get(at)?;
    let advice: Option<String> = row.try_get(at + 1)?;
    Ok(error.map(|error| Why {
        error,
        advice: advice.unwrap_or_default(),
    }))
}

/// The state of a script on a subscriber, with why it is not over; none: it did not come yet. The row is held until the
/// transaction's end.
pub async fn hold(
    client: &impl GenericClient,
    consumer: &str,
    script: &Script,
) -> Result<Option<(State, Option<Why>)>, Error> {
    stored(client, consumer, script, " for update").await
}

/// The state of a script, read without a lock; none: it did not come yet.
pub async fn state(
    client: &impl GenericClient,
    consumer: &str,
    script: &Script,
) -> Result<Option<(State, Option<Why>)>, Error> {
    stored(client, consumer, script, "").await
}

async fn stored(
    client: &impl GenericClient,
    consumer: &str,
    script: &Script,
    lock: &str,
) -> Result<Option<(State, Option<Why>)>, Error> {
    let row = client
        .query_opt(
            &format!(
                "select state, error, advice from trunkline.script \
                  where consumer = $3 and script_id = $1 and digest = $2{lock}"
            ),
            &[&script.id, &script.digest, &consumer],
        )
        .await
        .map_err(failed())?;
    let Some(row) = row else { return Ok(None) };
    let state: String = row.try_get(0).map_err(failed())?;
    Ok(Some((
        State::parse(&state)?,
        why(&row, 1).map_err(failed())?,
    )))
}

/// Whether the script was executed in this database, for whichever consumer. Two consumers that come to a script at
/// once wait for each other here, until the transaction's end.
pub async fn is_done_here(client: &impl GenericClient, script: &Script) -> Result<bool, Error> {
    client
        .execute(
            "select pg_advisory_xact_lock(hashtext('trunkline.script'), hashtext($1))",
            &[&script.id],
        )
        .await
        .map_err(Error::database("wait for another consumer's script"))?;
    was_done_here(client, script).await
}

/// Notes that a consumer's position goes past a script that is not over, in the transaction that moves the position.
pub async fn pass(
    client: &impl GenericClient,
    consumer: &str,
    script: &Script,
) -> Result<(), Error> {
    client
        .execute(
            "update trunkline.script set is_passed = true \
              where consumer = $1 and script_id = $2 and digest = $3 and not is_passed",
            &[&consumer, &script.id, &script.digest],
        )
        .await
        .map(|_| ())
        .map_err(Error::database("note that a script was passed"))
}

/// Gives an open script the names that another provider has for it; what that one does not know, fails for a person.
pub async fn translate(
    client: &impl GenericClient,
    consumer: &str,
    (open, there): (&OpenScript, Option<&LoggedScript>),
    why: &Why,
) -> Result<(), Error> {
    let (tick, tables, state, why, is_passed) = match there {
        Some(there) => {
            let is_passed = there.after.is_none();
            (
                there.tick,
                &there.tables,
                open.state,
                open.why.as_ref(),
                is_passed,
            )
        }
        None => (
            None,
            &open.script.tables,
            State::Failed,
            Some(why),
            open.is_passed,
        ),
    };
    let tables =
        serde_json::to_string(tables).map_err(|error| Error::Unexpected(error.to_string()))?;
    let (error, advice) = (why.map(|why| &why.error), why.map(|why| &why.advice));
    client
        .execute(
            "update trunkline.script set tick_id = $2, tables = $3::text::jsonb, state = $4, error = $5, advice = $6, \
                 is_passed = $8, changed_at = clock_timestamp() \
              where number = $1 and consumer = $7",
            &[&open.number, &tick, &tables, &state.as_str(), &error, &advice, &consumer, &is_passed],
        )
        .await
        .map(|_| ())
        .map_err(Error::database("give a script the new provider's names"))
}

/// The other consumers of this database that read a queue with this identity, and the ticks that they stand at.
pub async fn beside(
    client: &impl GenericClient,
    consumer: &str,
    epoch: Epoch,
) -> Result<Vec<(String, TickId)>, Error> {
    let rows = client
        .query(
            "select consumer, tick_id from trunkline.position where consumer <> $1 and epoch = $2 order by consumer",
            &[&consumer, &epoch.0],
        )
        .await
        .map_err(failed())?;
    let read = |row: &Row| Ok((row.try_get(0)?, TickId(row.try_get(1)?)));
    let read: Result<_, tokio_postgres::Error> = rows.iter().map(read).collect();
    read.map_err(failed())
}

/// Forgets the scripts of a consumer that are not over: the consumer ends. What was executed stays known.
pub async fn forget_open(client: &impl GenericClient, consumer: &str) -> Result<(), Error> {
    // An older install has no such table.
    if !relation_exists(client, Schema::Trunkline, "script").await? {
        return Ok(());
    }
    client
        .execute(
            "delete from trunkline.script where consumer = $1 and state in ('failed', 'waiting', 'wanted')",
            &[&consumer],
        )
        .await
        .map(|_| ())
        .map_err(Error::database("forget the scripts of a consumer"))
}

/// Whether another script of the same name was executed here.
pub async fn other_text_is_done(
    client: &impl GenericClient,
    script: &Script,
) -> Result<bool, Error> {
    client
        .query_one(
            "select exists (select from trunkline.script where script_id = $1 and digest <> $2 and state = 'done')",
            &[&script.id, &script.digest],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed())
}

/// The scripts that came to a consumer and are not over, in order.
pub async fn open(client: &impl GenericClient, consumer: &str) -> Result<Vec<OpenScript>, Error> {
    let rows = client
        .query(
            "select number, state, script_id, digest, body, tick_id, tables::text, error, advice, is_passed, \
                    changed_at < clock_timestamp() - interval '10 seconds' from trunkline.script \
              where consumer = $1 and state in ('failed', 'waiting', 'wanted') order by number",
            &[&consumer],
        )
        .await
        .map_err(failed())?;
    rows.iter().map(open_script).collect()
}

fn open_script(row: &Row) -> Result<OpenScript, Error> {
    let tables: String = row.try_get(6).map_err(failed())?;
    let tables: Vec<Touched> = serde_json::from_str(&tables)
        .map_err(|error| Error::Unexpected(format!("the tables of a script: {error}")))?;
    let state: String = row.try_get(1).map_err(failed())?;
    let read = || -> Result<OpenScript, tokio_postgres::Error> {
        Ok(OpenScript {
            number: row.try_get(0)?,
            state: State::Waiting,
            script: Script {
                id: row.try_get(2)?,
                digest: row.try_get(3)?,
                sql: row.try_get(4)?,
                tick: row.try_get(5)?,
                tables,
            },
            why: why(row, 7)?,
            is_passed: row.try_get(9)?,
            has_rested: row.try_get(10)?,
        })
    };
    let open = read().map_err(failed())?;
    Ok(OpenScript {
        state: State::parse(&state)?,
        ..open
    })
}

/// Notes how far a script is that came to a consumer, and what it has made here. What is over stays so. Gives whether
/// the row is as said.
pub async fn note(
    client: &impl GenericClient,
    (queue, consumer): (&str, &str),
    script: &Script,
    state: State,
    (why, made): (Option<&Why>, &[(String, TableName)]),
) -> Result<bool, Error> {
    let made = super::made_json(made);
    let tables = serde_json::to_string(&script.tables)
        .map_err(|error| Error::Unexpected(error.to_string()))?;
    let (error, advice) = (why.map(|why| &why.error), why.map(|why| &why.advice));
    let noted = client
        .execute(
            "insert into trunkline.script as s (script_id, digest, body, state, queue, consumer, tick_id, tables, \
                 error, advice, made) \
             values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, $11::text::jsonb) \
             on conflict (consumer, script_id, digest) do update \
                set state = excluded.state, error = excluded.error, advice = excluded.advice, made = excluded.made, \
                    changed_at = clock_timestamp() \
              where s.state in ('failed', 'waiting', 'wanted')",
            &[
                &script.id,
                &script.digest,
                &script.sql,
                &state.as_str(),
                &queue,
                &consumer,
                &script.tick,
                &tables,
                &error,
                &advice,
                &made,
            ],
        )
        .await
        .map_err(Error::database("note a script"))?;
    Ok(noted == 1)
}

/// Asks for another try of a consumer's script that failed or waits, or drops it. Gives how many scripts of that name
/// there were.
pub async fn ask(
    client: &impl GenericClient,
    consumer: &str,
    id: &str,
    state: State,
    told_by: Option<&str>,
) -> Result<u64, Error> {
    client
        .execute(
            "update trunkline.script set state = $2, told_by = $3, executed_by = session_user, \
                    changed_at = clock_timestamp() \
              where script_id = $1 and consumer = $4 and state in ('failed', 'waiting', 'wanted')",
            &[&id, &state.as_str(), &told_by, &consumer],
        )
        .await
        .map_err(Error::database("note what becomes of a script"))
}

/// All scripts that a database has of a queue.
pub async fn list(client: &impl GenericClient, queue: &str) -> Result<Vec<Record>, Error> {
    let rows = client
        .query(
            &format!("select {COLUMNS} from trunkline.script where queue = $1 order by number"),
            &[&queue],
        )
        .await
        .map_err(failed())?;
    rows.iter().map(record).collect()
}

/// Whether a script was executed in this database, for whichever consumer, or at first.
pub async fn was_done_here(client: &impl GenericClient, script: &Script) -> Result<bool, Error> {
    client
        .query_one(
            "select exists (select from trunkline.script where script_id = $1 and digest = $2 and state = 'done')",
            &[&script.id, &script.digest],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed())
}

/// All scripts that were executed at the provider, also while it followed another one. Source: `trunkline.scripts`.
pub async fn of_provider(client: &impl GenericClient, queue: &str) -> Result<Vec<Record>, Error> {
    let rows = client
        .query(
            &format!("select {COLUMNS} from trunkline.scripts($1)"),
            &[&queue],
        )
        .await
        .map_err(failed())?;
    rows.iter().map(record).collect()
}
