//! A running pair, and the comparison of many tables in one query a side.

use tests::{Cluster, Replication, Server};

/// Pins what changes the text of a value.
const PINNED: &str = "set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set timezone = 'UTC';
    set extra_float_digits = 3; set bytea_output = 'hex'; set lc_monetary = 'C'; set row_security = off; ";

/// A replication between two versions, described and not made.
pub(crate) fn between(provider: u32, subscriber: u32) -> Replication {
    let cluster = |version| match version {
        15 => Cluster::builder(&Server::debian15()),
        other => Cluster::builder(&Server::version(other)),
    };
    Replication::builder()
        .provider(cluster(provider))
        .subscribers(vec![cluster(subscriber)])
        .make()
}

/// Every row of these tables as text, each behind its table's name.
fn rows(cluster: &Cluster, db: &str, tables: &[String]) -> String {
    let parts: Vec<String> = tables
        .iter()
        .map(|table| {
            format!(
                "select {} collate \"C\" as name, row(t.*)::text collate \"C\" as x from {table} t",
                literal(table)
            )
        })
        .collect();
    cluster.psql(
        db,
        &format!("{PINNED} {} order by 1, 2", parts.join(" union all ")),
    )
}

pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// After a sync: the tables hold the same text on both sides, and the number of their rows in all.
pub(crate) fn assert_same(replication: &Replication, tables: &[String]) {
    replication.sync();
    let db = replication.db();
    let here = rows(&replication.provider, db, tables);
    let there = rows(&replication.subscribers[0], db, tables);
    if here != there {
        for (here, there) in here.lines().zip(there.lines()) {
            assert_eq!(here, there);
        }
        assert_eq!(here.lines().count(), there.lines().count(), "rows");
    }
}
