//! Rows without a key are repaired by numbers: how many more or fewer of each the subscriber must have. A number is
//! exact (`compare`), and whatever the batch loop applies meanwhile changes both sides alike. So the command writes
//! them itself, in one transaction, for which it has the table alone: a kill leaves all of it or nothing.

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
    queue::tick::TickId,
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

/// Equal rows of one statement that is printed.
const AT_ONCE: usize = 100;

/// What a session writes differently by its settings, as the hashes need it.
const PINNED: &str = "set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set timezone = 'UTC'; \
     set extra_float_digits = 3; set bytea_output = 'hex'; set lc_monetary = 'C'; set quote_all_identifiers = off;";

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
    let mut sums = done.report.sums.clone();
    while !sums.is_empty() {
        if write(table, done, &mut applier, &sums)
            .await
            .map_err(failure)?
        {
            sums = count().await?;
            break;
        }
        if started.elapsed() > table.options.patience {
            let seconds = table.options.patience.as_secs_f64();
            let text = format!(
                "table {name}: {} rows are not repaired on {} within {seconds} s: it is written for long, copied or \
                 repaired by others, or its changes do not find their rows",
                sums.len(),
                label(one)
            );
            return Err(Failure::message(Exit::TimedOut, text));
        }
        tokio::time::sleep(LOOK).await;
        sums = count().await?;
    }
    let (all, at, seconds) = (keys.len(), label(one), started.elapsed().as_secs_f64());
    if !sums.is_empty() {
        eprintln!(
            "{name}: {} of {all} rows that were repaired on {at} differ again",
            sums.len()
        );
        return Ok(Exit::Part);
    }
    job.say(&format!(
        "{name}: {all} rows repaired on {at} ({seconds:.2} s)"
    ))?;
    Ok(Exit::Done)
}

/// Writes the rows in one transaction. False: the numbers do not hold any more, or the table is not to be had now; then
/// nothing is written.
async fn write(
    table: &Table<'_>,
    done: &Done<'_>,
    applier: &mut Applier,
    sums: &BTreeMap<String, Sum>,
) -> Result<bool, Trouble> {
    let consumer = &table.one.consumer;
    let Some(set) = done.comparison.change_set(sums) else {
        return Err(Trouble::Stale);
    };
    let mut tx = applier.begin().await?;
    let written = async {
        tx.keep_others_off(&set.shape).await?;
        // No other transaction writes the table, so what it is now is what it is at the commit.
        let standing = Standing::read(tx.client(), consumer, table.row).await?;
        let holds = |standing: &Standing| sums.values().all(|sum| sum.mark == standing.mark);
        if !standing.as_ref().is_some_and(holds) {
            return Ok(None);
        }
        let tick = standing.map_or(TickId(0), |standing| standing.tick());
        tx.write(&[&set], tick).await?;
        Ok(Some(tick))
    };
    let written = written.await;
    let ended = match written {
        Ok(Some(tick)) => tx.commit_beside(tick).await.map(|()| true),
        Ok(None) => tx.rollback().await.map(|()| false),
        Err(trouble) => {
            tx.rollback().await?;
            Err(trouble)
        }
    };
    match ended {
        Err(trouble) if passes(&trouble) => Ok(false),
        ended => ended,
    }
}

/// Somebody else has the table, was first, or has changed it.
fn passes(trouble: &Trouble) -> bool {
    let code = trouble.sqlstate().map(|state| state.code().to_owned());
    matches!(trouble, Trouble::Stale)
        || matches!(code.as_deref(), Some("55P03" | "40P01" | "40001"))
}

/// Prints the statements that make the rows equal.
pub(super) fn print(table: &Table<'_>, done: &Done<'_>) -> Result<(), Failure> {
    let comparison = &done.comparison;
    let name = &table.row.table;
    let differing = done.report.sums.len();
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
    use super::*;

    #[test]
    fn as_many_rows_are_taken_away_or_added_as_are_meant() {
        let names = ["a".to_owned(), "B".to_owned()];
        let sum = |more| Sum {
            values: vec![Some("it's".into()), None],
            more,
            mark: (String::new(), 0),
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
