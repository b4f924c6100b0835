//! A provider with a queue, and a mirror of its captured tables that is fed from the queue's events alone.

mod check;
mod mirror;

pub(crate) use mirror::condition;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sql::event::row;
use sql::event::shape::{Shape, ShapeId};
use sql::event::{Mark, RawEvent};
use sql::install::{Component, install};
use sql::name::TableName;
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
    /// Who the sessions of writers are, where it is not the superuser.
    role: Option<&'static str>,
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
    /// As what the triggers of added tables are made: `statements`, `rows` or `auto`.
    pub(crate) form: &'static str,
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

/// `auto`, or the form of capture that `TRUNKLINE_FORM` names.
fn form() -> &'static str {
    match std::env::var("TRUNKLINE_FORM").as_deref() {
        Err(_) => "auto",
        Ok("rows") => "rows",
        Ok("statements") => "statements",
        Ok(other) => panic!("there is no form {other}"),
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
        drop(client);
        Provider::of_copy(cluster, db).await
    }

    /// In a database that has the queue already, and no events.
    pub(crate) async fn of_copy(cluster: &Arc<Cluster>, db: &str) -> Provider {
        let client = cluster.connect(db).await;
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
            role: None,
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
            form: form(),
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

    /// Runs statements one by one, each a client message, and requires after each that the mirror holds what the
    /// tables hold.
    pub(crate) async fn steps(&mut self, statements: &[&str]) {
        for statement in statements {
            self.run(statement).await;
            self.check(statement).await;
        }
    }

    /// The server's major version.
    pub(crate) fn version(&self) -> u32 {
        self.cluster.version()
    }

    /// Captures a table whose name needs no quotes.
    pub(crate) async fn add(&self, table: &str) {
        let name: TableName = table.parse().unwrap();
        self.client
            .query_one(
                "select added from trunkline.add_table('q', 'job', $1, $2)",
                &[&name.schema, &name.name],
            )
            .await
            .unwrap_or_else(|error| panic!("add {table}: {error:?}"));
        if self.form != "auto" {
            self.choose(table, self.form).await;
        }
    }

    /// Chooses the form of a table's capture, and gives the one that it has then, with the reason.
    pub(crate) async fn choose(&self, table: &str, form: &str) -> String {
        let name: TableName = table.parse().unwrap();
        let row = self
            .client
            .query_one(
                "select form || ': ' || why from trunkline.choose_form('q', $1, $2, $3)",
                &[&name.schema, &name.name, &form],
            )
            .await
            .unwrap_or_else(|error| panic!("choose {form} for {table}: {error:?}"));
        row.get(0)
    }

    /// A session of its own with another transaction each time, as the writers have.
    pub(crate) async fn another(&self) -> Client {
        let client = self.cluster.connect(&self.db).await;
        if let Some(role) = self.role {
            let command = format!("set session authorization {role}");
            client.batch_execute(&command).await.expect("become a role");
        }
        client
    }

    /// The same in another database of the server, whose owner, no superuser, has installed everything and does
    /// everything.
    pub(crate) async fn owned(self) -> Provider {
        let (role, db) = ("owner", format!("{}_owned", self.db));
        self.run(&format!(
            "do $$ begin create role {role} login; exception when duplicate_object then null; end $$;
             grant pgq_admin, pgq_reader, pgq_writer to {role}"
        ))
        .await;
        self.run(&format!("create database {db} owner {role}"))
            .await;
        let public = format!("alter schema public owner to {role}");
        self.cluster.psql(&db, &public);
        let mut installer = self.cluster.connect(&db).await;
        let command = format!("set session authorization {role}");
        installer.batch_execute(&command).await.expect(&command);
        install(&mut installer, &[Component::Pgq, Component::Provider])
            .await
            .expect("install");
        let create = "select pgq.create_queue('q')";
        installer.batch_execute(create).await.expect(create);
        drop(installer);
        let mut owned = Provider::of_copy(&self.cluster, &db).await;
        owned.role = Some(role);
        owned.client = owned.another().await;
        assert_eq!(
            owned.ask("select trunkline.capture_mode()").await,
            "fingerprint"
        );
        owned
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
        if self.form != "auto" {
            self.choose(&table.to_string(), self.form).await;
        }
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
                ev_data: found.get::<_, Option<&str>>(2).map(str::as_bytes),
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
                    ev_data: found.get::<_, Option<&str>>(0).map(str::as_bytes),
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
