//! The proof: the mirror holds what the tables hold.

use std::collections::BTreeMap;

use sql::event::shape::{Identity, Shape};
use sql::name::TableName;

use super::{Provider, Rows, canonical, inner};

impl Provider {
    /// Reads the events and requires that the mirror of each captured table is what the table holds.
    pub(crate) async fn check(&mut self, context: &str) {
        self.look().await;
        self.new_events().await;
        // The shape that the events gave last: without event triggers the table's own is made later.
        let current: Vec<Shape> = self
            .reader
            .query(
                "select c.table_oid from trunkline.captured c where c.dropped_at is null",
                &[],
            )
            .await
            .expect("list captured tables")
            .iter()
            .map(|found| self.latest[&found.get::<_, u32>(0)].clone())
            .collect();
        for shape in current {
            let name = shape.table_name();
            if !shape.has_key() {
                let held = self.counted(&shape).await;
                let told = self.sums.get(&name).cloned().unwrap_or_default();
                assert_eq!(held, told, "{context}: {name}");
                continue;
            }
            let held = self.held(&shape).await;
            if self.copied.remove(&name) {
                self.tables.insert(name.clone(), held.clone());
            }
            let told = self.tables.get(&name).cloned().unwrap_or_default();
            if held != told {
                let text = |rows: &Rows| {
                    rows.values()
                        .map(|row| String::from_utf8_lossy(row).into_owned())
                        .collect::<Vec<_>>()
                        .join("\n  ")
                };
                panic!(
                    "{context}: {name} holds\n  {}\nbut its events say\n  {}",
                    text(&held),
                    text(&told)
                );
            }
        }
        self.reader.batch_execute("commit").await.expect("commit");
    }

    async fn counted(&self, shape: &Shape) -> BTreeMap<Vec<u8>, i64> {
        let columns: Vec<String> = shape
            .columns
            .iter()
            .map(|c| format!("n.{}", sql::name::quote_ident(&c.name)))
            .collect();
        let mut table = shape.table_name();
        if shape.identity == Identity::InsertOnly {
            // Where a test keeps all that was ever inserted.
            let all = TableName {
                name: format!("{}_all", table.name),
                ..table.clone()
            };
            let there = format!("select to_regclass($${}$$) is not null", all.quoted());
            if tests::ask(&self.reader, &there).await == "t" {
                table = all;
            }
        }
        let table = table.quoted();
        let ask = format!(
            "select row({})::text, count(*) from only {table} n group by 1",
            columns.join(", ")
        );
        self.reader
            .query(&ask, &[])
            .await
            .expect(&ask)
            .iter()
            .map(|found| (inner(found.get(0)), found.get(1)))
            .collect()
    }

    async fn held(&self, shape: &Shape) -> Rows {
        let columns: Vec<String> = shape
            .columns
            .iter()
            .map(|c| format!("n.{}", sql::name::quote_ident(&c.name)))
            .collect();
        let key: Vec<String> = shape
            .key_fields()
            .iter()
            .map(|&field| columns[field].clone())
            .collect();
        self.reader
            .query(
                &format!(
                    "select row({})::text, row({})::text from {}{} n",
                    key.join(", "),
                    columns.join(", "),
                    if shape.partitioned { "" } else { "only " },
                    shape.table_name().quoted()
                ),
                &[],
            )
            .await
            .unwrap_or_else(|error| panic!("read {}: {error:?}", shape.table_name()))
            .iter()
            .map(|found| (canonical(shape, inner(found.get(0))), inner(found.get(1))))
            .collect()
    }
}
