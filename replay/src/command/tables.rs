//! `replay tables`: the state of each table, in the form that scripts have relied on since Londiste; a terminal shows
//! more columns to the right.

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
    output,
    status::{TableStatus, tables_of},
    terminal,
};

use sql::provider::Capture;

use super::{Job, archive};

/// Runs the command.
pub(crate) async fn run(job: &Job, json: bool, subscriber: Option<&str>) -> Result<Exit, Failure> {
    let mut asked = job.config.clone();
    let takers = job.takers(subscriber)?;
    asked.subscribers = takers.subscribers.into_iter().cloned().collect();
    let (mut tables, mut unreachable) = (Vec::new(), Vec::new());
    for (one, answer) in tables_of(&asked).await {
        match answer {
            Ok(found) => tables.extend(found),
            Err(error) => {
                eprintln!("{}: {error}", super::label(one));
                unreachable.push(one);
            }
        }
    }
    if !takers.archives.is_empty() {
        let provider = job.provider().await?;
        for one in &takers.archives {
            let captured = archive::captured(job, &provider, one, false).await?;
            tables.extend(captured.into_iter().map(|table| archived(&one.name, table)));
        }
    }
    let all = asked.subscribers.len() + takers.archives.len();
    let three_columns = subscriber.is_none() && all > 1;
    if json {
        output::print_json(&tables)?;
    } else if terminal::is_terminal() {
        output::print(&for_people(&tables, &unreachable, three_columns))?;
    } else {
        output::print(&for_scripts(&tables, &unreachable, three_columns))?;
    }
    Ok(if unreachable.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// A table whose changes are archived.
fn archived(archive: &str, capture: Capture) -> TableStatus {
    TableStatus {
        subscriber: Some(archive.to_owned()),
        table: capture.name.to_string(),
        target: None,
        columns: None,
        filter: None,
        merge: None,
        state: "archived".into(),
        rows_copied: None,
        bytes_copied: None,
        rows_estimated: None,
        rows_per_second: None,
        seconds_left: None,
        objects_left: None,
        objects: None,
        objects_share: None,
        ignored: 0,
        conflicts: None,
        error: capture.problem,
        advice: None,
    }
}

fn header(three_columns: bool) -> Vec<&'static str> {
    let mut header = vec!["Table", "State"];
    if three_columns {
        header.push("Subscriber");
    }
    header
}

fn words(
    tables: &[TableStatus],
    unreachable: &[&SubscriberConfig],
    three_columns: bool,
) -> Vec<Vec<String>> {
    let name = |subscriber: &Option<String>| {
        let name = subscriber.clone().unwrap_or_else(|| "-".into());
        three_columns.then_some(name)
    };
    let of_tables = tables.iter().map(|table| {
        let mut line = vec![table.table.clone(), table.state.clone()];
        line.extend(name(&table.subscriber));
        line
    });
    let of_unreachable = unreachable.iter().map(|one| {
        let mut line = vec!["*".to_owned(), "unreachable".to_owned()];
        line.extend(name(&one.name));
        line
    });
    of_tables.chain(of_unreachable).collect()
}

fn for_scripts(
    tables: &[TableStatus],
    unreachable: &[&SubscriberConfig],
    three_columns: bool,
) -> String {
    output::words(
        &header(three_columns),
        &words(tables, unreachable, three_columns),
    )
}

fn for_people(
    tables: &[TableStatus],
    unreachable: &[&SubscriberConfig],
    three_columns: bool,
) -> String {
    let mut header = header(three_columns);
    let is_merged = tables.iter().any(|table| table.merge.is_some());
    if is_merged {
        header.push("Merge");
    }
    header.extend(["Rows", "Bytes", "Done", "Rows/s", "Left", "Error", "Advice"]);
    let mut rows = words(tables, unreachable, three_columns);
    for (line, table) in rows.iter_mut().zip(tables) {
        if is_merged {
            line.push(table.merge.clone().unwrap_or_default());
        }
        let mut cells = progress(&[table]);
        if let Some(building) = table.building() {
            cells[2] = building;
        }
        line.extend(cells);
        // A table without an error has an empty cell.
        line.push(table.error.clone().unwrap_or_default());
        line.push(table.advice.clone().unwrap_or_default());
    }
    let copying: Vec<&TableStatus> = tables.iter().filter(|table| waits(table)).collect();
    if !copying.is_empty() {
        let all: Vec<&TableStatus> = tables.iter().collect();
        let mut line = vec![format!("{} tables", all.len()), String::new()];
        line.extend(three_columns.then(String::new));
        line.extend(is_merged.then(String::new));
        line.extend(progress(&all));
        line.extend([String::new(), String::new()]);
        rows.push(line);
    }
    output::table(&header, &rows)
}

/// Whether rows of the table are still to be copied.
fn waits(table: &TableStatus) -> bool {
    matches!(table.state.as_str(), "-" | "in-copy")
}

/// Rows, bytes, share, rate and time left of one table, or of all together. Share, rate and time left are shown only
/// while something is copied.
fn progress(tables: &[&TableStatus]) -> [String; 5] {
    let sum = |value: &dyn Fn(&TableStatus) -> Option<i64>| -> i64 {
        tables.iter().filter_map(|table| value(table)).sum()
    };
    let rows = sum(&|table| table.rows_copied);
    let bytes = sum(&|table| table.bytes_copied);
    // A copied table has all its rows, whatever the statistics say.
    let expected = sum(&|table| {
        if waits(table) {
            table.rows_estimated.max(table.rows_copied)
        } else {
            table.rows_copied
        }
    });
    let mut cells = [
        rows.to_string(),
        size(bytes),
        String::new(),
        String::new(),
        String::new(),
    ];
    if tables.iter().any(|table| table.state == "in-copy") && expected > 0 {
        let rate: f64 = tables
            .iter()
            .filter_map(|table| table.rows_per_second)
            .sum();
        cells[2] = share(rows, expected);
        if rate > 0.0 {
            cells[3] = format!("{rate:.0}");
            cells[4] = time((expected - rows).max(0) as f64 / rate);
        }
    }
    cells
}

/// A bar and per cent, by the provider's estimate: 100 % is never shown before the copy is complete.
fn share(rows: i64, expected: i64) -> String {
    let percent = (rows.saturating_mul(100) / expected).clamp(0, 99);
    let bar: String = (1..=10)
        .map(|tenth| if tenth * 10 <= percent { '#' } else { '.' })
        .collect();
    format!("{bar} {percent} %")
}

fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 10_000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.0} {}", UNITS[unit])
}

fn time(seconds: f64) -> String {
    let minutes = (seconds / 60.0).floor();
    if minutes < 1.0 {
        format!("{seconds:.0} s")
    } else if minutes < 60.0 {
        format!("{minutes:.0} min {:.0} s", seconds - minutes * 60.0)
    } else {
        format!(
            "{:.0} h {:.0} min",
            (minutes / 60.0).floor(),
            minutes % 60.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, state: &str) -> TableStatus {
        TableStatus {
            target: None,
            columns: None,
            filter: None,
            merge: None,
            subscriber: Some("host2".into()),
            table: name.into(),
            state: state.into(),
            rows_copied: Some(5),
            bytes_copied: Some(50),
            rows_estimated: Some(10),
            rows_per_second: Some(1.0),
            seconds_left: Some(5.0),
            objects_left: None,
            objects: None,
            objects_share: None,
            ignored: 0,
            conflicts: Some(0),
            error: None,
            advice: None,
        }
    }

    #[test]
    fn scripts_get_one_header_and_words_separated_by_one_space() {
        let tables = [table("public.t1", "ok"), table("public.t3", "-")];
        assert_eq!(
            for_scripts(&tables, &[], false),
            "Table State\npublic.t1 ok\npublic.t3 -\n"
        );
        assert_eq!(
            for_scripts(&tables, &[], true),
            "Table State Subscriber\npublic.t1 ok host2\npublic.t3 - host2\n"
        );
    }

    #[test]
    fn people_see_how_far_a_copy_is_and_all_of_them_together() {
        let tables = [
            table("public.t", "in-copy"),
            table("public.u", "-"),
            table("public.v", "ok"),
        ];
        let text = for_people(&tables, &[], false);
        let line = |name: &str| {
            let found = text.lines().find(|line| line.contains(name)).unwrap();
            found.to_owned()
        };
        assert!(line("public.t").contains("#####..... 50 %"), "{text}");
        assert!(line("public.t").contains("5 s"), "{text}");
        assert!(!line("public.v").contains('%'), "{text}");
        // 15 of 10 + 10 + 5 rows are copied, at the rates of all copies together.
        assert!(line("3 tables").contains("######.... 60 %"), "{text}");
    }

    #[test]
    fn h3_people_see_why_a_table_is_parked_and_what_to_do() {
        let parked = TableStatus {
            error: Some("no column x".into()),
            advice: Some("add the column".into()),
            ..table("public.t", "parked")
        };
        let text = for_people(&[parked, table("public.u", "ok")], &[], false);
        assert!(
            text.contains("no column x") && text.contains("add the column"),
            "{text}"
        );
    }

    #[test]
    fn times_and_sizes_are_short() {
        assert_eq!(time(59.4), "59 s");
        assert_eq!(time(61.0), "1 min 1 s");
        assert_eq!(time(7_260.0), "2 h 1 min");
        assert_eq!(size(9_999), "9999 B");
        assert_eq!(size(131_072_000), "125 MB");
    }
}
