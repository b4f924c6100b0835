//! `replay repair`: compares, and makes the rows that differ equal to the provider's: the daemon does it, or the
//! statements for it are printed.

mod without_key;

use std::time::{Duration, Instant};

use admin::{
    exit::{Exit, Failure},
    output,
};
use sql::{
    name::{quote_ident, quote_literal},
    provider,
    subscriber::{
        repair_key::{self, RepairKeys},
        table_state::{self, Stand, Why},
    },
};

use super::{
    Job,
    compare::{All, Done, Table, WhatArgs},
    label,
};
use crate::compare::{Difference, Kind, fields, has_null, run_again};

/// Rows whose values are held at once.
const AT_ONCE: usize = 100;

/// Time between two looks whether the daemon has done it.
const LOOK: Duration = Duration::from_millis(50);

/// Time between two requests to the daemon.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The arguments of `repair`.
#[derive(Debug, clap::Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    what: WhatArgs,
    /// Have the running daemon make the rows equal; else the statements for it are printed
    #[arg(long)]
    apply: bool,
}

/// Runs the command. Safe to repeat.
pub(crate) async fn run(job: &Job, args: &RepairArgs) -> Result<Exit, Failure> {
    let options = args.what.options()?;
    let all = All::new(job, &args.what, &options, ("repair", "not repaired"));
    all.each(async |table| {
        let done = table.compare().await?;
        if done.report.differences.is_empty() {
            done.told.print(job)?;
            return Ok(done.told.exit());
        }
        if args.apply {
            return apply(table, &done).await;
        }
        print(table, &done).await?;
        Ok(done.told.exit())
    })
    .await
}

/// Why the rows of a table that differ cannot be repaired one by one; none: they can.
pub(super) fn refusal(done: &Done<'_>) -> Option<String> {
    if done.report.is_cut {
        let rows = done.report.differing();
        return Some(format!("{rows} rows differ and the rest was not compared"));
    }
    if has_nameless(done) {
        return Some(NAMELESS.to_owned());
    }
    done.comparison.no_repair().map(str::to_owned)
}

/// What is said of rows that no key finds.
const NAMELESS: &str = "a row on the subscriber has no value in its key";

fn has_nameless(done: &Done<'_>) -> bool {
    let rows = &done.report.differences;
    done.comparison.has_key() && rows.iter().any(|one| has_null(&one.key))
}

/// Has the rows made equal, waits for it, and looks at them again.
pub(super) async fn apply(table: &Table<'_>, done: &Done<'_>) -> Result<Exit, Failure> {
    let (job, name) = (table.job, &table.row.table);
    if let Some(why) = refusal(done) {
        let text = format!("table {name}: {why}");
        return Err(Failure::message(Exit::Part, text)
            .with_hint(format!("copy the table again: replay resync {name} --swap")));
    }
    if !done.comparison.has_key() {
        return without_key::apply(table, done).await;
    }
    let started = Instant::now();
    let keys = done.report.differences.iter().map(|one| one.key.clone());
    let keys: Vec<String> = keys.collect();
    let asked = RepairKeys {
        columns: done
            .comparison
            .key_names()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        keys: keys
            .iter()
            .map(|key| as_in_events(key).to_owned())
            .collect(),
    };
    let subscriber = table.sessions.subscriber;
    repair_key::ask(&**subscriber, &table.one.consumer, name, &asked).await?;
    wait(table).await?;
    let again = run_again(&done.comparison, keys).await;
    let again = again.map_err(|stop| table.failure(stop))?;
    let (all, left) = (done.report.differences.len(), again.differences.len());
    let at = label(table.one);
    let seconds = started.elapsed().as_secs_f64();
    if left > 0 {
        eprintln!("{name}: {left} of {all} rows that were repaired on {at} differ again");
        return Ok(Exit::Part);
    }
    job.say(&format!(
        "{name}: {all} rows repaired on {at} ({seconds:.2} s)"
    ))?;
    Ok(Exit::Done)
}

/// Waits until the daemon has fetched the rows and the table is `ok` again.
async fn wait(table: &Table<'_>) -> Result<(), Failure> {
    let (job, name, consumer) = (table.job, &table.row.table, &table.one.consumer);
    let session = table.sessions.subscriber;
    let started = Instant::now();
    let mut asked: Option<Instant> = None;
    loop {
        if asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
            provider::hint_tables(&**table.sessions.provider, job.queue()).await?;
            asked = Some(Instant::now());
        }
        // Read first: the keys go in the transaction that brings the rows, and the table is not ok until later.
        let left = repair_key::list(&**session, consumer, name)
            .await?
            .keys
            .len();
        let row = table_state::find(&**session, consumer, name).await?;
        let stand = row.map(|row| row.stand);
        let at = label(table.one);
        match stand {
            Some(Stand::Ok) if left == 0 => return Ok(()),
            Some(Stand::Parked(parked)) => {
                let why = Why::with_rows(&parked.why);
                let text = format!("table {name}: it is parked on {at}: {why}");
                return Err(Failure::message(Exit::Part, text).with_hint(parked.why.advice.clone()));
            }
            None => {
                let text = format!("table {name}: it is no table of the job any more");
                return Err(Failure::message(Exit::Part, text));
            }
            Some(_) => {}
        }
        if started.elapsed() > table.options.patience {
            let seconds = table.options.patience.as_secs_f64();
            let text = format!(
                "table {name}: {left} rows are not repaired on {at} within {seconds} s: does replay run? It goes on \
                 by itself as soon as it can"
            );
            return Err(Failure::message(Exit::TimedOut, text));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Prints the statements that make the rows equal to those that the provider has now.
async fn print(table: &Table<'_>, done: &Done<'_>) -> Result<(), Failure> {
    let comparison = &done.comparison;
    let (name, keys) = (&table.row.table, comparison.key_names());
    if keys.is_empty() && done.comparison.no_repair().is_none() {
        return without_key::print(table, done);
    }
    let nameless = if keys.is_empty() {
        Some("they have no key, and what differs cannot be counted from events")
    } else {
        has_nameless(done).then_some(NAMELESS)
    };
    if let Some(why) = nameless {
        let text = format!("table {name}: there are no statements for its rows: {why}");
        return Err(Failure::message(Exit::Part, text)
            .with_hint(format!("copy the table again: replay resync {name} --swap")));
    }
    output::print(&format!(
        "-- {name} on {}: {} rows differ\n",
        label(table.one),
        done.report.differences.len()
    ))?;
    for some in done.report.differences.chunks(AT_ONCE) {
        let asked: Vec<&str> = some.iter().map(|one| one.key.as_str()).collect();
        let values = comparison.values(&asked).await;
        let values = values.map_err(|stop| table.failure(stop))?;
        for (number, difference) in some.iter().enumerate() {
            let row = values.get(&number).map(Vec::as_slice);
            let target = comparison.target();
            let text = statement(&target, &keys, comparison.names(), difference, row);
            output::print(&format!("{text}\n"))?;
        }
    }
    Ok(())
}

/// The statement that makes a row of the subscriber equal to the provider's; `row`: the values that the provider's row
/// has; none: it has no such row.
fn statement(
    target: &str,
    keys: &[&str],
    names: &[String],
    difference: &Difference,
    row: Option<&[Option<String>]>,
) -> String {
    let is = |name: &str, value: Option<&str>| {
        let value = value.map_or_else(|| "null".to_owned(), quote_literal);
        format!("{} = {}", quote_ident(name), value.trim_start())
    };
    let key: Vec<String> = keys
        .iter()
        .zip(fields(&difference.key))
        .map(|(name, value)| is(name, Some(&value)))
        .collect();
    let key = key.join(" and ");
    let Some(row) = row else {
        return format!("delete from {target} where {key};");
    };
    match difference.kind {
        // Its insert is on the way.
        Kind::Extra => format!("-- {key}: the provider has it by now"),
        Kind::Changed => {
            let values = names.iter().zip(row);
            let values = values.filter(|(name, _)| difference.columns.contains(name));
            let set: Vec<String> = values
                .map(|(name, value)| is(name, value.as_deref()))
                .collect();
            format!("update {target} set {} where {key};", set.join(", "))
        }
        Kind::Missing => {
            let names: Vec<String> = names.iter().map(|name| quote_ident(name)).collect();
            let values = row.iter().map(|value| match value {
                None => "null".to_owned(),
                Some(value) => quote_literal(value).trim_start().to_owned(),
            });
            let values: Vec<String> = values.collect();
            format!(
                "insert into {target} ({}) overriding system value values ({});",
                names.join(", "),
                values.join(", ")
            )
        }
    }
}

/// A key as events have it, which is a record without its parentheses.
fn as_in_events(key: &str) -> &str {
    let inner = key.strip_prefix('(').and_then(|key| key.strip_suffix(')'));
    inner.unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_makes_one_row_equal() {
        let names = ["id".to_owned(), "V".to_owned(), "w".to_owned()];
        let row = [Some("1".to_owned()), Some("it's\\".to_owned()), None];
        let of = |kind, row| {
            let difference = Difference {
                key: "(1)".into(),
                kind,
                columns: vec!["V".into(), "w".into()],
                count: 1,
            };
            statement("public.t", &["id"], &names, &difference, row)
        };
        assert_eq!(
            of(Kind::Changed, Some(&row[..])),
            "update public.t set \"V\" = E'it''s\\\\', w = null where id = '1';"
        );
        assert_eq!(
            of(Kind::Missing, Some(&row[..])),
            "insert into public.t (id, \"V\", w) overriding system value values ('1', E'it''s\\\\', null);"
        );
        assert_eq!(
            of(Kind::Extra, Some(&row[..])),
            "-- id = '1': the provider has it by now"
        );
        // The provider has deleted the row meanwhile, or never had it.
        for kind in [Kind::Extra, Kind::Changed] {
            assert_eq!(of(kind, None), "delete from public.t where id = '1';");
        }
    }
}
