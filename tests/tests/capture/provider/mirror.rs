//! The mirror of the captured tables: what each event makes of it.

use sql::event::part::{OwnColumn, Partition};
use sql::event::row;
use sql::event::shape::{Shape, ShapeId};
use sql::event::{Event, EventKind, Mark};
use sql::name::quote_literal;
use sql::name::{TableName, quote_ident};

use super::{Provider, Rows, Short, canonical};

/// The condition that a partition's rows have, with its values as literals: the table is the provider's own.
pub(crate) fn condition(part: &Partition) -> String {
    let columns: Vec<(&str, String, &str)> = part
        .within
        .iter()
        .flatten()
        .flat_map(|level| &level.columns)
        .map(|one| (&*one.name, quote_ident(&one.name), &*one.type_name))
        .collect();
    let own = |wanted: &str| {
        let (_, name, type_name) = columns.iter().find(|(name, ..)| *name == wanted)?;
        Some(OwnColumn { name, type_name })
    };
    part.condition(own, quote_literal).expect("a condition")
}

impl Provider {
    pub(super) async fn feed(&mut self, event: Event<'_>) -> Short {
        match event {
            Event::Shape(shape) => {
                let name = shape.table_name();
                let old = self.latest.insert(shape.table.oid, (*shape).clone());
                if let Some(old) = old
                    && let Some(rows) = self.tables.remove(&old.table_name())
                    && !shape.dropped
                {
                    let rows = rows
                        .into_values()
                        .map(|row| reshape(&row, &old, &shape))
                        .collect();
                    self.tables.insert(name, rows);
                }
                let said = shape.problem.clone().unwrap_or_default();
                self.shapes.insert(shape.shape, *shape);
                ("shape".to_owned(), said)
            }
            Event::Truncate { table, .. } => {
                self.sums.remove(&table);
                self.tables.entry(table).or_default().clear();
                ("truncate".to_owned(), String::new())
            }
            Event::Rows {
                table,
                shape,
                kind,
                block,
            } => {
                self.change(table.parse().unwrap(), shape, kind, block);
                (
                    format!("{kind:?}").to_lowercase(),
                    String::from_utf8(block.to_vec()).expect("text"),
                )
            }
            Event::Mark { table, shape, mark } => {
                self.mark(&table, shape, &mark).await;
                let said = format!("{mark:?}");
                self.marks.push((table, mark));
                ("mark".to_owned(), said)
            }
            Event::Script(_) => panic!("a script of `replay execute`, which no capture writes"),
            Event::Other => panic!("a foreign event"),
        }
    }

    /// Does to the mirror what a mark says; one that asks for a copy, or for rows that were changed by
    /// the same command, is a copy.
    async fn mark(&mut self, table: &TableName, shape: ShapeId, mark: &Mark) {
        let shape = self
            .shapes
            .get(&shape)
            .expect("a shape precedes its marks")
            .clone();
        match mark {
            Mark::Filled { column, value, .. } => {
                let place = shape.columns.iter().position(|one| one.name == *column);
                let place = place.expect("a column of the shape");
                let value = match value {
                    None => String::new(),
                    Some(value) => {
                        let row = "select row($1::text)::text";
                        let row: String =
                            self.reader.query_one(row, &[value]).await.unwrap().get(0);
                        row[1..row.len() - 1].to_owned()
                    }
                };
                for row in self.tables.entry(table.clone()).or_default().values_mut() {
                    let mut fields: Vec<Vec<u8>> = row::fields(row)
                        .map(|field| field.map_or(&b""[..], |field| field.raw()).to_vec())
                        .collect();
                    fields[place] = value.clone().into_bytes();
                    *row = fields.join(&b',');
                }
            }
            Mark::Emptied(part) => {
                let condition = condition(part);
                let rows = self.tables.entry(table.clone()).or_default();
                let texts: Vec<String> = rows
                    .values()
                    .map(|row| format!("({})", String::from_utf8_lossy(row)))
                    .collect();
                let ask = format!(
                    "select c.ok from unnest($1::text[]) with ordinality u (r, n)
                      cross join lateral (select {condition} from (select (u.r::{}).*) t) c (ok) order by u.n",
                    table.quoted()
                );
                let gone = self.reader.query(&ask, &[&texts]).await.expect(&ask);
                let keys: Vec<Vec<u8>> = rows.keys().cloned().collect();
                for (key, gone) in keys.into_iter().zip(gone) {
                    if gone.get::<_, Option<bool>>(0) == Some(true) {
                        rows.remove(&key);
                    }
                }
            }
            Mark::Digest { .. } | Mark::Resync { .. } => {
                self.copied.insert(table.clone());
            }
            Mark::Own | Mark::Ignored { .. } => {}
        }
    }

    fn change(&mut self, table: TableName, shape: ShapeId, kind: EventKind, block: &[u8]) {
        let shape = self.shapes.get(&shape).expect("a shape precedes its rows");
        assert_eq!(shape.table_name(), table);
        let key_fields = shape.key_fields();
        let columns = if kind.is_key_only() {
            key_fields.len()
        } else {
            shape.columns.len()
        };
        let rows = self.tables.entry(table.clone()).or_default();
        let mut seen = 0;
        for found in row::rows(block, columns) {
            let found = found.expect("a row of the shape");
            seen += 1;
            let key = if kind.is_key_only() {
                found.to_vec()
            } else {
                row::project(found, &key_fields).into_owned()
            };
            if let EventKind::Plus | EventKind::Minus = kind {
                let sums = self.sums.entry(table.clone()).or_default();
                *sums.entry(found.to_vec()).or_default() +=
                    if kind == EventKind::Plus { 1 } else { -1 };
                sums.retain(|_, n| *n != 0);
                continue;
            }
            let key = canonical(shape, key);
            let before = if kind.is_key_only() {
                rows.remove(&key)
            } else {
                rows.insert(key.clone(), found.to_vec())
            };
            let claimed = match kind {
                EventKind::Insert => before.is_none(),
                EventKind::Update | EventKind::Delete => before.is_some(),
                EventKind::Large | EventKind::Plus | EventKind::Minus => true,
                EventKind::Live | EventKind::Gone => {
                    self.contradicted.remove(&(table.clone(), key.clone()));
                    true
                }
            };
            if !claimed && !self.copied.contains(&table) {
                let text = format!(
                    "{kind:?} of {}, but there was {before:?}",
                    String::from_utf8_lossy(found)
                );
                self.contradicted.insert((table.clone(), key), text);
            }
        }
        assert!((1..=200).contains(&seen), "a block of {seen} rows");
    }

    /// What the queue says the table holds.
    pub(crate) fn mirrored(&self, table: &str) -> Rows {
        self.tables
            .get(&table.parse().unwrap())
            .cloned()
            .unwrap_or_default()
    }
}

/// A row of an old shape as one of a new shape: columns keep their numbers, new ones are NULL.
fn reshape(row: &[u8], old: &Shape, new: &Shape) -> (Vec<u8>, Vec<u8>) {
    let fields: Vec<&[u8]> = row::fields(row)
        .map(|field| field.map_or(&b""[..], |field| field.raw()))
        .collect();
    let values: Vec<&[u8]> = new
        .columns
        .iter()
        .map(|column| {
            let place = old
                .columns
                .iter()
                .position(|old| old.attnum == column.attnum);
            place.map_or(&b""[..], |place| fields[place])
        })
        .collect();
    let row = values.join(&b',');
    let key = row::project(&row, &new.key_fields()).into_owned();
    (canonical(new, key), row)
}
