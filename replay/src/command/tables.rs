//! `replay tables`: the state of each table, in the form that scripts have relied on since
//! Londiste; on a terminal with more to the right.

use admin::{
    config::SubscriberConfig,
    exit::{Exit, Failure},
    output,
    status::{TableStatus, tables_of},
};

use super::Job;

/// Runs the command.
pub(crate) async fn run(job: &Job, json: bool, subscriber: Option<&str>) -> Result<Exit, Failure> {
    let mut asked = job.config.clone();
    asked.subscribers = job.subscribers(subscriber)?.into_iter().cloned().collect();
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
    let three_columns = subscriber.is_none() && asked.subscribers.len() > 1;
    if json {
        output::print_json(&tables)?;
    } else if output::is_terminal() {
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
    header.extend(["Rows", "Bytes", "Done", "Error"]);
    let mut rows = words(tables, unreachable, three_columns);
    for (line, table) in rows.iter_mut().zip(tables) {
        let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
        line.push(number(table.rows_copied));
        line.push(number(table.bytes_copied));
        line.push(share(table));
        line.push(table.error.clone().unwrap_or_default());
    }
    output::table(&header, &rows)
}

/// How much of a running copy is done, by the provider's estimate.
fn share(table: &TableStatus) -> String {
    match (
        table.state.as_str(),
        table.rows_copied,
        table.rows_estimated,
    ) {
        ("in-copy", Some(copied), Some(all)) if all > 0 => {
            format!("{} %", (copied.saturating_mul(100) / all).min(99))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, state: &str) -> TableStatus {
        TableStatus {
            subscriber: Some("host2".into()),
            table: name.into(),
            state: state.into(),
            rows_copied: Some(5),
            bytes_copied: Some(50),
            rows_estimated: Some(10),
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
    fn people_see_how_far_a_copy_is() {
        assert!(for_people(&[table("public.t", "in-copy")], &[], false).contains("50 %"));
    }
}
