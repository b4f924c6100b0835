//! Rows without a key are repaired by numbers: how many more or fewer of each the subscriber must have. The command
//! writes them itself, in one transaction, for which it has the table alone: it counts the subscriber's rows again
//! there, and brings what the provider had to the subscriber's place by the events in between. A kill leaves all of it
//! or nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use admin::{
    exit::{Exit, Failure},
    output,
};
use sql::{
    name::{quote_ident, quote_literal},
    subscriber::{conflict::OnConflict, table_state::TableRow},
};

use super::super::{
    compare::{Done, Table},
    label,
};
use crate::{
    apply::Applier,
    compare::{Standing, Stop, Sum, run_again},
    trouble::Trouble,
};

/// Time between two tries.
const LOOK: Duration = Duration::from_millis(200);

/// How long the first try waits for its lock, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Equal rows of one statement that is printed.
const AT_ONCE: usize = 100;

/// What a session writes differently by its settings, as the hashes need it.
const PINNED: &str = "set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set timezone = 'UTC'; \
     set extra_float_digits = 3; set bytea_output = 'hex'; set lc_monetary = 'C'; set quote_all_identifiers = off;";

/// What a try has done.
enum Tried {
    /// The rows that differed under the lock are written; so many.
    Written(u64),
    /// Somebody else has the table.
    Locked,
    /// What was counted is not known to hold any more.
    Stale,
}

/// Makes the rows equal, and counts them again.
pub(super) async fn apply(table: &Table<'_>, done: &Done<'_>) -> Result<Exit, Failure> {
    let (job, one, name) = (table.job, table.one, &table.row.table);
    let failure = |trouble: Trouble| table.failure(Stop::Trouble(trouble));
    let started = Instant::now();
    let keys: Vec<String> = done.report.sums.keys().cloned().collect();
    let count = async || {
        let again = run_again(&done.comparison, keys.clone()).await;
        Ok::<_, Failure>(again.map_err(|stop| table.failure(stop))?.sums)
    };
    let session = job.subscriber(one).await?;
    let role = job.config.session_role;
    let applier = Applier::new(session, &one.consumer, OnConflict::Stop, role).await;
    let mut applier = applier.map_err(failure)?;
    applier.learn(&TableRow {
        on_conflict: Some(OnConflict::Stop),
        ..table.row.clone()
    });
    let (mut sums, mut written, mut wait) = (done.report.sums.clone(), 0, FIRST_WAIT);
    while !sums.is_empty() {
        let tried = write(table, done, &mut applier, &sums, wait).await;
        match tried.map_err(failure)? {
            Tried::Written(rows) => {
                written = rows;
                sums = count().await?;
                break;
            }
            Tried::Locked => {
                // Replay waits behind each try for the lock, and goes on in each pause.
                tokio::time::sleep(wait.max(LOOK)).await;
                wait = (2 * wait).min(LONGEST_WAIT);
            }
            Tried::Stale => {
                tokio::time::sleep(LOOK).await;
                sums = count().await?;
            }
        }
        if started.elapsed() > table.options.patience {
            let seconds = table.options.patience.as_secs_f64();
            let text = format!(
                "table {name}: {} rows are not repaired on {} within {seconds} s: it is written for long, copied or \
                 repaired by others, or its changes do not find their rows",
                rows_of(&sums),
                label(one)
            );
            return Err(Failure::message(Exit::TimedOut, text));
        }
    }
    let (at, seconds) = (label(one), started.elapsed().as_secs_f64());
    if !sums.is_empty() {
        eprintln!(
            "{name}: {} of {written} rows that were repaired on {at} differ again",
            rows_of(&sums)
        );
        return Ok(Exit::Part);
    }
    let others = match done.report.differing().saturating_sub(written) {
        0 => String::new(),
        others => format!(", {others} were right by then"),
    };
    job.say(&format!(
        "{name}: {written} rows repaired on {at}{others} ({seconds:.2} s)"
    ))?;
    Ok(Exit::Done)
}

/// How many rows these are.
fn rows_of(sums: &BTreeMap<String, Sum>) -> u64 {
    sums.values().map(|sum| sum.more.unsigned_abs()).sum()
}

/// Counts the rows again and writes them, in one transaction; or does nothing.
async fn write(
    table: &Table<'_>,
    done: &Done<'_>,
    applier: &mut Applier,
    sums: &BTreeMap<String, Sum>,
    wait: Duration,
) -> Result<Tried, Trouble> {
    let (comparison, consumer) = (&done.comparison, &table.one.consumer);
    let Some(set) = comparison.change_set(sums) else {
        return Err(Trouble::Stale);
    };
    let mut tx = applier.begin().await?;
    let written = async {
        tx.keep_others_off(&set.shape, wait).await?;
        // No other transaction writes the table, so what it is now is what it is at the commit.
        let standing = Standing::read(tx.client(), consumer, table.row).await?;
        let Some(Standing { at }) = standing else {
            return Ok(None);
        };
        let question = comparison.count_there(sums);
        let lines = tx.lines(&set.shape, &question).await?;
        let Some(sums) = comparison.recount(sums, &lines, at).await? else {
            return Ok(None);
        };
        let set = comparison.change_set(&sums).ok_or(Trouble::Stale)?;
        if !sums.is_empty() {
            tx.write(&[&set], at.tick.id).await?;
        }
        Ok(Some((at.tick.id, rows_of(&sums))))
    };
    let written = written.await;
    let ended = match written {
        Ok(Some((tick, rows))) => tx.commit_beside(tick).await.map(|()| Tried::Written(rows)),
        Ok(None) => tx.rollback().await.map(|()| Tried::Stale),
        Err(trouble) => {
            tx.rollback().await?;
            Err(trouble)
        }
    };
    match ended {
        Err(trouble) if is_locked(&trouble) => Ok(Tried::Locked),
        Err(trouble) if passes(&trouble) => Ok(Tried::Stale),
        ended => ended,
    }
}

/// Somebody else has the table.
fn is_locked(trouble: &Trouble) -> bool {
    let code = trouble.sqlstate().map(|state| state.code().to_owned());
    code.as_deref() == Some("55P03")
}

/// Somebody else was first, or has changed the table.
fn passes(trouble: &Trouble) -> bool {
    let code = trouble.sqlstate().map(|state| state.code().to_owned());
    matches!(trouble, Trouble::Stale) || matches!(code.as_deref(), Some("40P01" | "40001"))
}

/// Prints the statements that make the rows equal.
pub(super) fn print(table: &Table<'_>, done: &Done<'_>) -> Result<(), Failure> {
    let comparison = &done.comparison;
    let name = &table.row.table;
    let differing = done.report.differing();
    output::print(&format!(
        "-- {name} on {}: {differing} rows differ\n{PINNED}\n",
        label(table.one)
    ))?;
    let (target, own, hash) = (
        comparison.target(),
        comparison.own_rows(),
        comparison.hash_there(),
    );
    for (key, sum) in &done.report.sums {
        output::print(&statements(
            &target,
            (&own, &hash),
            comparison.names(),
            key,
            sum,
        ))?;
    }
    Ok(())
}

/// The statements for one row. Pure.
fn statements(
    target: &str,
    (own, hash): (&str, &str),
    names: &[String],
    key: &str,
    sum: &Sum,
) -> String {
    if sum.more < 0 {
        // A row's ctid is unique in one partition only.
        return format!(
            "delete from {own} t where (t.tableoid, t.ctid) in \
             (select t.tableoid, t.ctid from {own} t where {hash} = {} limit {});\n",
            quote_literal(key).trim_start(),
            sum.more.unsigned_abs()
        );
    }
    let names: Vec<String> = names.iter().map(|name| quote_ident(name)).collect();
    let values = sum.values.iter().map(|value| match value {
        None => "null".to_owned(),
        Some(value) => quote_literal(value).trim_start().to_owned(),
    });
    let row = format!("({})", values.collect::<Vec<_>>().join(", "));
    let mut text = String::new();
    let mut left = usize::try_from(sum.more).unwrap_or_default();
    while left > 0 {
        let some = left.min(AT_ONCE);
        let rows = vec![row.as_str(); some].join(", ");
        text.push_str(&format!(
            "insert into {target} ({}) overriding system value values {rows};\n",
            names.join(", ")
        ));
        left -= some;
    }
    text
}

#[cfg(test)]
mod tests {
    use sql::{
        queue::tick::{Epoch, Tick, TickId, TickTag},
        subscriber::position::Position,
    };

    use super::*;

    #[test]
    fn as_many_rows_are_taken_away_or_added_as_are_meant() {
        let names = ["a".to_owned(), "B".to_owned()];
        let sum = |more| Sum {
            values: vec![Some("it's".into()), None],
            wanted: 0,
            more,
            at: Position {
                epoch: Epoch(0),
                tick: Tick {
                    id: TickId(0),
                    tag: TickTag(0),
                },
            },
        };
        let of = |more| {
            statements(
                "public.t",
                ("only public.t", "md5(x)"),
                &names,
                "5d",
                &sum(more),
            )
        };
        assert_eq!(
            of(-2),
            "delete from only public.t t where (t.tableoid, t.ctid) in (select t.tableoid, t.ctid from only public.t t \
             where md5(x) = '5d' limit 2);\n"
        );
        assert_eq!(
            of(2),
            "insert into public.t (a, \"B\") overriding system value values ('it''s', null), ('it''s', null);\n"
        );
        assert_eq!(of(150).lines().count(), 2);
    }
}
