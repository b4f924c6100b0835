//! A provider with a queue, and a mirror of its captured tables that is fed from the queue's events alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sql::event::{Event, Kind, Mark, RawEvent};
use sql::install::{Component, install};
use sql::name::TableName;
use sql::row;
use sql::shape::{Shape, ShapeId};
use tests::{Cluster, Server, ask};
use tokio_postgres::Client;

/// How the mirror's session reads tables: as capture functions write them.
const PINNED: &str = "set datestyle = 'ISO, MDY'; set intervalstyle = postgres; set timezone = 'UTC';
    set extra_float_digits = 1; set bytea_output = hex; set lc_monetary = 'C'; set search_path = pg_catalog;
    set quote_all_identifiers = off";

/// A table's rows by their keys, both as record text.
pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) struct Provider {
    pub(crate) cluster: Arc<Cluster>,
    db: String,
    /// A session for whatever a test does.
    pub(crate) client: Client,
    reader: Client,
    shapes: BTreeMap<ShapeId, Shape>,
    latest: BTreeMap<u32, Shape>,
    tables: BTreeMap<TableName, Rows>,
    /// Rows of tables without a key, and how many there are of each.
    sums: BTreeMap<TableName, BTreeMap<Vec<u8>, i64>>,
    /// Tables to be copied at the next check: until then what is said of before is not checked.
    copied: BTreeSet<TableName>,
    /// The marks so far.
    pub(crate) marks: Vec<(TableName, Mark)>,
    /// What the mirror has seen: events that this snapshot does not show are new, in the order of their numbers.
    seen: String,
    /// Claims that the mirror contradicts, until a live read of the same transaction takes them back.
    contradicted: BTreeMap<(TableName, Vec<u8>), String>,
    /// Complain about claims on the state before a change that the mirror contradicts.
    pub(crate) check_claims: bool,
}

/// One event, in short: the kind (or `truncate`, `shape`) and the rows' text.
pub(crate) type Short = (String, String);

/// PostgreSQL 15, or the version that `TRUNKLINE_PG` names.
pub(crate) fn server() -> Server {
    match std::env::var("TRUNKLINE_PG") {
        Ok(version) => Server::version(version.parse().expect("a major version")),
        Err(_) => Server::debian15(),
    }
}

impl Provider {
    /// On PostgreSQL 15, or the version that `TRUNKLINE_PG` names.
    pub(crate) async fn start() -> Provider {
        Provider::on(&server()).await
    }

    pub(crate) async fn on(server: &Server) -> Provider {
        Provider::in_db(&Arc::new(Cluster::builder(server).start()), "p").await
    }

    /// In a new database of a cluster that others use too.
    pub(crate) async fn in_db(cluster: &Arc<Cluster>, db: &str) -> Provider {
        cluster.create_db(db);
        let mut client = cluster.connect(db).await;
        install(&mut client, &[Component::Pgq, Component::Provider])
            .await
            .expect("install");
        client
            .batch_execute("select pgq.create_queue('q')")
            .await
            .expect("create the queue");
        let reader = cluster.connect(db).await;
        let digits = if cluster.version() < 12 {
            PINNED.replace("digits = 1", "digits = 3")
        } else {
            PINNED.to_owned()
        };
        reader.batch_execute(&digits).await.expect("pin settings");
        Provider {
            cluster: Arc::clone(cluster),
            db: db.to_owned(),
            client,
            reader,
            shapes: BTreeMap::new(),
            latest: BTreeMap::new(),
            tables: BTreeMap::new(),
            sums: BTreeMap::new(),
            copied: BTreeSet::new(),
            marks: Vec::new(),
            seen: "1:1:".to_owned(),
            contradicted: BTreeMap::new(),
            check_claims: true,
        }
    }

    /// Takes the event triggers away, as where no superuser installed: capture then compares the catalog itself.
    pub(crate) async fn without_event_triggers(self) -> Provider {
        self.run(
            "drop event trigger trunkline_ddl_command_end; drop event trigger trunkline_sql_drop;
             drop event trigger trunkline_table_rewrite",
        )
        .await;
        assert_eq!(
            self.ask("select trunkline.capture_mode()").await,
            "fingerprint"
        );
        self
    }

    /// Upkeep, where schema changes are not followed at once.
    pub(crate) async fn look_after(&self) {
        if self.ask("select trunkline.capture_mode()").await == "fingerprint" {
            self.upkeep().await;
        }
    }

    /// What the ticker does every few seconds.
    pub(crate) async fn upkeep(&self) -> String {
        self.ask("select coalesce(string_agg(u, ', '), '') from trunkline.upkeep() u")
            .await
    }

    pub(crate) async fn run(&self, sql: &str) {
        if let Err(error) = self.client.batch_execute(sql).await {
            panic!("{error:?}\n{sql}");
        }
    }

    /// The first column of the only row.
    pub(crate) async fn ask(&self, sql: &str) -> String {
        ask(&self.client, sql).await
    }

    /// Captures a table whose name needs no quotes.
    pub(crate) async fn add(&self, table: &str) {
        let table: TableName = table.parse().unwrap();
        self.client
            .query_one(
                "select added from trunkline.add_table('q', 'job', $1, $2)",
                &[&table.schema, &table.name],
            )
            .await
            .unwrap_or_else(|error| panic!("add {table}: {error:?}"));
    }

    /// A session of its own with another transaction each time, as the writers have.
    pub(crate) async fn another(&self) -> Client {
        self.cluster.connect(&self.db).await
    }

    /// Captures a table by an identity: `key` with columns, `full` or `insert-only`.
    pub(crate) async fn add_by(&self, table: &str, identity: &str, columns: Option<&[&str]>) {
        let table: TableName = table.parse().unwrap();
        self.client
            .query_one(
                "select added from trunkline.add_table('q', 'job', $1, $2, $3, $4)",
                &[&table.schema, &table.name, &identity, &columns],
            )
            .await
            .unwrap_or_else(|error| panic!("add {table}: {error:?}"));
    }

    /// The events since the last look, fed to the mirror.
    pub(crate) async fn events(&mut self) -> Vec<Short> {
        self.look().await;
        let short = self.new_events().await;
        self.reader.batch_execute("commit").await.expect("commit");
        short
    }

    async fn look(&self) {
        let begin = "begin isolation level repeatable read";
        self.reader.batch_execute(begin).await.expect(begin);
    }

    /// What the reader's snapshot shows and the one before did not: a batch, as consumers get it.
    async fn new_events(&mut self) -> Vec<Short> {
        let now = ask(&self.reader, "select txid_current_snapshot()").await;
        let seen = std::mem::replace(&mut self.seen, now);
        let rows = self
            .reader
            .query(
                "select ev_id, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3 from pgq.event_1
                  where ev_txid >= txid_snapshot_xmin($1::text::txid_snapshot)
                    and not txid_visible_in_snapshot(ev_txid, $1::text::txid_snapshot) order by ev_id",
                &[&seen],
            )
            .await
            .expect("read events");
        let mut short = Vec::new();
        for found in &rows {
            let raw = RawEvent {
                ev_id: found.get(0),
                ev_type: found.get(1),
                ev_data: found.get(2),
                ev_extra1: found.get(3),
                ev_extra2: found.get(4),
                ev_extra3: found.get(5),
            };
            short.push(self.feed(raw.parse().expect("an event of capture")).await);
        }
        let contradicted = std::mem::take(&mut self.contradicted);
        assert!(
            contradicted.is_empty() || !self.check_claims,
            "{contradicted:#?}"
        );
        short
    }

    async fn feed(&mut self, event: Event<'_>) -> Short {
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
                (format!("{kind:?}").to_lowercase(), block.to_owned())
            }
            Event::Mark { table, shape, mark } => {
                self.mark(&table, shape, &mark).await;
                let said = format!("{mark:?}");
                self.marks.push((table, mark));
                ("mark".to_owned(), said)
            }
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
            Mark::Filled { column, value } => {
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
                let condition = part.condition.as_deref().expect("a condition");
                let rows = self.tables.entry(table.clone()).or_default();
                let texts: Vec<String> = rows
                    .values()
                    .map(|row| format!("({})", String::from_utf8_lossy(row)))
                    .collect();
                let ask = format!(
                    "select c.ok from unnest($1::text[]) with ordinality u (r, n)
                      cross join lateral (select {condition} from (select (u.r::{}).*) c) c (ok) order by u.n",
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
            Mark::Ignored { .. } => {}
        }
    }

    fn change(&mut self, table: TableName, shape: ShapeId, kind: Kind, block: &str) {
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
        for found in row::rows(block.as_bytes(), columns) {
            let found = found.expect("a row of the shape");
            seen += 1;
            let key = if kind.is_key_only() {
                found.to_vec()
            } else {
                row::project(found, &key_fields).into_owned()
            };
            if let Kind::Plus | Kind::Minus = kind {
                let sums = self.sums.entry(table.clone()).or_default();
                *sums.entry(found.to_vec()).or_default() += if kind == Kind::Plus { 1 } else { -1 };
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
                Kind::Insert => before.is_none(),
                Kind::Update | Kind::Delete => before.is_some(),
                Kind::Large | Kind::Plus | Kind::Minus => true,
                Kind::Live | Kind::Gone => {
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

    /// Runs a statement that logs a mark, which must contain a text when printed; the mirror is not told of it.
    pub(crate) async fn events_of_marks(&self, sql: &str, text: &str) {
        let last = self
            .ask("select coalesce(max(ev_id), 0) from pgq.event_1")
            .await;
        self.run(sql).await;
        let rows = self
            .client
            .query(
                &format!("select ev_data, ev_extra1, ev_extra2, ev_extra3 from pgq.event_1 where ev_id > {last} and ev_type = 'trunkline.1.mark'"),
                &[],
            )
            .await
            .expect("read events");
        let marks: Vec<String> = rows
            .iter()
            .map(|found| {
                let raw = RawEvent {
                    ev_type: Some("trunkline.1.mark"),
                    ev_data: found.get(0),
                    ev_extra1: found.get(1),
                    ev_extra2: found.get(2),
                    ev_extra3: found.get(3),
                    ..RawEvent::default()
                };
                format!("{:?}", raw.parse().expect("a mark"))
            })
            .collect();
        assert!(marks.iter().any(|mark| mark.contains(text)), "{marks:#?}");
    }

    /// What the queue says the table holds.
    pub(crate) fn mirrored(&self, table: &str) -> Rows {
        self.tables
            .get(&table.parse().unwrap())
            .cloned()
            .unwrap_or_default()
    }

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
        let table = shape.table_name().quoted();
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

/// One text for all spellings of a key: the mirror has no SQL to compare numeric and citext by.
fn canonical(shape: &Shape, key: Vec<u8>) -> Vec<u8> {
    if shape.key_text_is_equality() {
        return key;
    }
    let types = shape.key_fields();
    let values: Vec<Vec<u8>> = row::fields(&key)
        .zip(types)
        .map(|(value, field)| {
            let raw = value.map_or(&b""[..], |value| value.raw());
            match shape.columns[field].type_name.as_str() {
                "numeric" if raw.contains(&b'.') => {
                    let text = String::from_utf8_lossy(raw);
                    text.trim_end_matches('0').trim_end_matches('.').into()
                }
                _ => raw.to_ascii_lowercase(),
            }
        })
        .collect();
    values.join(&b',')
}

fn inner(record: &str) -> Vec<u8> {
    record.as_bytes()[1..record.len() - 1].to_vec()
}

/// The SQLSTATE, message and hint of a statement that must fail.
pub(crate) async fn refused(client: &Client, sql: &str) -> (String, String, String) {
    let error = client.batch_execute(sql).await.expect_err(sql);
    let error = error.as_db_error().expect("an error of the database");
    (
        error.code().code().to_owned(),
        error.message().to_owned(),
        error.hint().unwrap_or_default().to_owned(),
    )
}

/// Short events from literals.
pub(crate) fn said(events: &[(&str, &str)]) -> Vec<Short> {
    events
        .iter()
        .map(|(kind, rows)| ((*kind).to_owned(), (*rows).to_owned()))
        .collect()
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
    (row::project(&row, &new.key_fields()).into_owned(), row)
}
