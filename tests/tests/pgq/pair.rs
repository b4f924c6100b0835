//! One server, two databases: PgQ 3.5 as Debian packages it in one, schema pgq of ours in the other. The same statement
//! is run on both, and all that a client can tell of it is kept as text.

use std::fmt::Write as _;

use futures::{FutureExt, StreamExt};
use sql::install::{Component, install};
use tests::Cluster;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

/// What our side has installed.
pub(crate) const OURS: [Component; 3] = [Component::Pgq, Component::Coop, Component::Ext];

/// A session, and the notices that came on it.
pub(crate) struct Side {
    pub(crate) client: Client,
    notices: UnboundedReceiver<DbError>,
}

/// Both databases, a session on each.
pub(crate) struct Pair {
    _cluster: Cluster,
    pub(crate) theirs: Side,
    pub(crate) ours: Side,
}

/// The server that has the extension to compare with.
pub(crate) fn original_present() {
    let control = "/usr/share/postgresql/15/extension/pgq.control";
    assert!(
        std::path::Path::new(control).exists(),
        "{control} is missing: install the Debian package postgresql-15-pgq3"
    );
}

impl Pair {
    /// Starts the server and makes both databases.
    pub(crate) async fn start() -> Self {
        original_present();
        let cluster = Cluster::start();
        cluster.create_db("theirs");
        cluster.create_db("ours");
        let theirs = Side::connect(&cluster, "theirs").await;
        theirs
            .client
            .batch_execute("create extension pgq")
            .await
            .unwrap();
        let mut ours = Side::connect(&cluster, "ours").await;
        install(&mut ours.client, &OURS).await.unwrap();
        Self {
            _cluster: cluster,
            theirs,
            ours,
        }
    }

    /// Runs a statement on both; what came of it, theirs first.
    pub(crate) async fn run(&mut self, statement: &str, exact: bool) -> (String, String) {
        (
            self.theirs.run(statement, exact).await,
            self.ours.run(statement, exact).await,
        )
    }
}

impl Side {
    /// A session as the superuser.
    pub(crate) async fn connect(cluster: &Cluster, dbname: &str) -> Self {
        let (client, mut connection) = tokio_postgres::connect(&cluster.conninfo(dbname), NoTls)
            .await
            .unwrap();
        let (sender, notices) = unbounded_channel();
        tokio::spawn(async move {
            let mut messages =
                futures::stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notice(notice) = message {
                    // The test may be over.
                    let _ = sender.send(notice);
                }
            }
        });
        Self { client, notices }
    }

    /// Runs a statement: notices, names and types of the columns, rows, or the error, a line each.
    pub(crate) async fn run(&mut self, statement: &str, exact: bool) -> String {
        let columns: Vec<(String, String)> = match self.client.prepare(statement).await {
            Ok(prepared) => prepared
                .columns()
                .iter()
                .map(|column| (column.name().to_owned(), column.type_().name().to_owned()))
                .collect(),
            // The run says what is wrong.
            Err(_) => Vec::new(),
        };
        while self.notices.recv().now_or_never().is_some() {}
        let result = self.client.simple_query(statement).await;
        let mut text = String::new();
        while let Some(Some(notice)) = self.notices.recv().now_or_never() {
            let _ = writeln!(
                text,
                "{} {}: {}",
                notice.severity(),
                notice.code().code(),
                notice.message()
            );
        }
        match result {
            Err(error) => match error.as_db_error() {
                Some(error) => {
                    let _ = writeln!(text, "ERROR {}: {}", error.code().code(), error.message());
                }
                None => panic!("{statement}: {error:?}"),
            },
            Ok(messages) => {
                if !columns.is_empty() {
                    let heads: Vec<_> = columns.iter().map(|(n, t)| format!("{n} {t}")).collect();
                    let _ = writeln!(text, "{}", heads.join(", "));
                }
                for message in messages {
                    if let SimpleQueryMessage::Row(row) = message {
                        let values: Vec<_> = (0..row.len())
                            .map(|index| shown(row.get(index), columns.get(index), exact))
                            .collect();
                        let _ = writeln!(text, "{}", values.join(" | "));
                    }
                }
            }
        }
        text
    }
}

/// A value as it is compared: what cannot be equal in two databases, times and transaction ids, is only told from null.
fn shown(value: Option<&str>, column: Option<&(String, String)>, exact: bool) -> String {
    let Some(value) = value else {
        return "null".to_owned();
    };
    if let (false, Some((name, kind))) = (exact, column) {
        let varies = matches!(kind.as_str(), "timestamptz" | "txid_snapshot")
            || matches!(
                name.as_str(),
                "lag"
                    | "last_seen"
                    | "ticker_lag"
                    | "ev_per_sec"
                    | "ev_txid"
                    | "queue_switch_step1"
                    | "queue_switch_step2"
            );
        if varies {
            return format!("<{kind}>");
        }
    }
    value.replace('\n', "\\n")
}
