//! The rows of some keys of a table, as the provider has them at one moment; and two ticks around that moment.
//!
//! The table's lock and its snapshot are those of a copy (`source`). What is read is one row a key, over the index of
//! the key.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::future::try_join_all;
use sql::{
    connect::Session,
    event::{row, shape::Shape},
    name::quote_ident,
    provider::{self, BatchFinder, Want},
    queue::tick::{Tick, TickId},
    subscriber::{repair_key::RepairKeys, table_state::TableRow},
};
use tokio_postgres::{Statement, types::ToSql};

use super::{select::FilterNow, source};
use crate::{apply::text_value::TextValue, subscriber::shared::Subscription, trouble::Trouble};

/// Questions that are on their way at the same time.
const AT_ONCE: usize = 64;

const COPY: &str = "copy the table again: replay resync TABLE --swap";

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The rows' shape.
    pub shape: Arc<Shape>,
    /// All keys that were asked for.
    pub keys: Vec<Bytes>,
    /// The rows of those keys that have one.
    pub rows: HashMap<Bytes, Bytes>,
    /// A tick from before: the rows show all that it shows.
    pub before: TickId,
    /// A tick from after: it shows all that the rows show.
    pub after: Tick,
}

/// Fetches the rows of keys; the table goes on from the tick `from`.
///
/// # Errors
/// [`Trouble::Table`] if the table cannot be read, or its key has other columns by now.
pub(crate) async fn fetch(
    sub: &Subscription,
    row: &TableRow,
    subscriber: &Session,
    wanted: &RepairKeys,
    from: TickId,
) -> Result<Fetched, Trouble> {
    let session = source::begin(sub, row, subscriber).await?;
    let finder = BatchFinder::prepare(&*session).await?;
    let nothing = Want {
        up_to: Some(from),
        ..Want::default()
    };
    let queue = &sub.settings.queue;
    let filter = source::filter_now(&session, row).await?;
    let before = finder
        .after(&*session, queue, from, &nothing)
        .await?
        .last_tick;
    source::lock(&session, row).await?;
    let snapshot = provider::current_snapshot(&*session).await?;
    let shape = source::shown_shape(sub, row, &session, subscriber).await?;
    let fields = shape.key_fields();
    let names = fields.iter().filter_map(|&at| shape.columns.get(at));
    if !shape.has_key() || !names.map(|column| &column.name).eq(&wanted.columns) {
        let why = "its key has other columns on the provider by now".to_owned();
        return Err(Trouble::unfollowable(&row.table, why, COPY));
    }
    let keys: Vec<Bytes> = wanted
        .keys
        .iter()
        .map(|key| Bytes::copy_from_slice(key.as_bytes()))
        .collect();
    let filter = filter.map(|filter| FilterNow::of(&filter, &shape));
    let question = question(&shape, filter.transpose()?.as_ref());
    let rows = rows(&session, row, &question, &keys).await?;
    let ended = session.batch_execute("commit").await;
    ended.map_err(Trouble::database(
        "could not end the snapshot of a table's keys",
    ))?;
    Ok(Fetched {
        after: source::shown_by(sub, &session, &snapshot).await?,
        shape,
        keys,
        rows,
        before,
    })
}

/// The rows of the keys that have one.
async fn rows(
    session: &Session,
    row: &TableRow,
    question: &str,
    keys: &[Bytes],
) -> Result<HashMap<Bytes, Bytes>, Trouble> {
    let failed = || Trouble::at_table(&row.table, "could not read rows of it on the provider");
    let statement = session.prepare(question).await.map_err(failed())?;
    let mut rows = HashMap::new();
    for some in keys.chunks(AT_ONCE) {
        let asked = some.iter().map(|key| row_of(session, &statement, key));
        let found = try_join_all(asked).await.map_err(failed())?;
        let found = some.iter().zip(found);
        rows.extend(found.filter_map(|(key, row)| Some((key.clone(), row?))));
    }
    Ok(rows)
}

/// The row of a key, as events have it; None: there is none.
async fn row_of(
    session: &Session,
    statement: &Statement,
    key: &Bytes,
) -> Result<Option<Bytes>, tokio_postgres::Error> {
    let values: Vec<TextValue> = row::fields(key)
        .map(|field| TextValue(field.map(|field| field.unescape().into_owned())))
        .collect();
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
    let Some(found) = session.query_opt(statement, &values).await? else {
        return Ok(None);
    };
    let text: String = found.try_get(0)?;
    // A record's text has parentheses around it, and events have none.
    let inner = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    Ok(inner.map(|inner| Bytes::copy_from_slice(inner.as_bytes())))
}

/// The question for the row of one key, if the filter takes it.
fn question(shape: &Shape, filter: Option<&FilterNow>) -> String {
    let columns: Vec<String> = shape
        .columns
        .iter()
        .map(|column| format!("t.{}", quote_ident(&column.name)))
        .collect();
    let fields = shape.key_fields();
    let names = fields.iter().filter_map(|&at| columns.get(at));
    let key: Vec<String> = names
        .enumerate()
        .map(|(at, name)| format!("{name} = ${}", at + 1))
        .collect();
    let row = format!("row({})::pg_catalog.text", columns.join(", "));
    let from = format!(
        "{}{} t where {}",
        if shape.partitioned { "" } else { "only " },
        shape.table_name().quoted(),
        key.join(" and ")
    );
    let Some(filter) = filter else {
        return format!("select {row} from {from}");
    };
    let name = filter.free_name("r");
    let seen = filter.names.iter();
    let seen: Vec<String> = seen
        .map(|(now, known)| format!(", t.{now} as {known}"))
        .collect();
    format!(
        "select {name} from (select {row} as {name}{} from {from}) f where ({})",
        seen.concat(),
        filter.condition
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_is_asked_for_by_the_columns_of_the_key_in_its_order() {
        let shape = Shape::from_json(
            r#"{"shape":7,"table":{"schema":"public","name":"T","oid":9},"identity":"key",
            "columns":[{"name":"v","type":"text","key":null,"text_equal":true},
                       {"name":"b","type":"integer","key":2,"text_equal":true},
                       {"name":"a","type":"integer","key":1,"text_equal":true}]}"#,
        )
        .unwrap();
        assert_eq!(
            question(&shape, None),
            "select row(t.v, t.b, t.a)::pg_catalog.text from only public.\"T\" t where t.a = $1 and t.b = $2"
        );
        let filter = FilterNow {
            condition: "(r = 'x')".into(),
            names: vec![("v".into(), "r".into())],
        };
        let asked = question(&shape, Some(&filter));
        assert!(
            asked.starts_with(
                "select r_ from (select row(t.v, t.b, t.a)::pg_catalog.text as r_, t.v as r from"
            ),
            "{asked}"
        );
        assert!(asked.ends_with("t.b = $2) f where ((r = 'x'))"), "{asked}");
    }
}
