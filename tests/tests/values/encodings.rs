//! SS-04: databases of different encodings. What both can hold is the same; what one cannot hold parks the table by
//! name.

use std::time::Duration;

use tests::{Cluster, Daemons, Replication, configure, run, wait_until};

use crate::pair::between;

/// Runs SQL whose text is UTF-8, whatever the database's encoding.
fn utf8(cluster: &Cluster, db: &str, sql: &str) -> String {
    run(cluster
        .client("psql", db)
        .env("PGCLIENTENCODING", "UTF8")
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]))
    .ok()
    .text()
    .to_owned()
}

/// Replicates one database of the pair's servers. A change that is `refused` so parks the table until its row 3 is a
/// word.
fn replicate(
    pair: &Replication,
    from: &str,
    to: &str,
    db: &str,
    fill: &str,
    change: &str,
    refused: Option<&str>,
) {
    let make = |encoding: &str| {
        format!(
            "create database {db} encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'"
        )
    };
    let (provider, subscriber) = (&pair.provider, &pair.subscribers[0]);
    provider.psql("postgres", &make(from));
    subscriber.psql("postgres", &make(to));
    for cluster in [provider, subscriber] {
        cluster.psql(
            db,
            "create table t (id int primary key, v text); create table u (id int primary key)",
        );
    }
    utf8(provider, db, fill);
    let scratch = tests::Scratch::new();
    let (ticker, replay) = configure(&scratch, db, provider, &[subscriber], "", "");
    let _daemons = Daemons(vec![replay.clone(), ticker.clone()]);
    for (node, args) in [
        (&ticker, &["install"][..]),
        (&ticker, &["start", "-d"]),
        (&replay, &["install"]),
        (&replay, &["start", "-d"]),
        (&replay, &["add", "--all"]),
    ] {
        node.run(args).ok();
    }
    wait_until("the tables to be ok", Duration::from_secs(120), || {
        let listed = replay.run(&["tables"]).ok().stdout;
        listed.contains("public.t ok") && listed.contains("public.u ok")
    });
    utf8(provider, db, &format!("{change}; insert into u values (1)"));
    wait_until("the change to be seen", Duration::from_secs(120), || {
        subscriber.psql(db, "select count(*) from u") == "1"
    });
    if let Some(refused) = refused {
        wait_until("the table to be parked", Duration::from_secs(120), || {
            subscriber
                .psql(
                    db,
                    "select error from trunkline.table_state where state = 'parked'",
                )
                .contains(refused)
        });
        provider.psql(db, "update t set v = 'euro' where id = 3");
        replay.run(&["resume"]);
    }
    replay.run(&["wait", "--timeout", "120"]).ok();
}

/// The text of `t` on the subscriber, as UTF-8.
fn held(pair: &Replication, db: &str) -> String {
    let sql = "select string_agg(id || v, ',' order by id) from t";
    utf8(&pair.subscribers[0], db, sql)
}

#[test]
fn ss_04_databases_of_different_encodings_hold_the_same_text() {
    let pair = between(15, 15);
    let fill = "insert into t values (1, 'größe'), (2, 'çé')";
    let change = "insert into t values (4, 'ñandú'); update t set v = 'Grüße' where id = 1; delete from t where id = 2";
    for (from, to, db) in [
        ("UTF8", "LATIN1", "to_latin"),
        ("LATIN1", "UTF8", "from_latin"),
    ] {
        replicate(&pair, from, to, db, fill, change, None);
        assert_eq!(held(&pair, db), "1Grüße,4ñandú", "{from} to {to}");
    }
    replicate(
        &pair,
        "EUC_JP",
        "UTF8",
        "from_japan",
        "insert into t values (1, '日本'), (2, '語')",
        "insert into t values (4, 'かな'); update t set v = '漢字' where id = 1; delete from t where id = 2",
        None,
    );
    assert_eq!(held(&pair, "from_japan"), "1漢字,4かな");
    replicate(
        &pair,
        "UTF8",
        "LATIN1",
        "no_euro",
        "insert into t values (1, 'a'), (2, 'b')",
        "update t set v = 'ü' where id = 1; insert into t values (3, '5 €')",
        Some("has no equivalent in encoding"),
    );
    assert_eq!(held(&pair, "no_euro"), "1ü,2b,3euro");
}

#[test]
fn ss_04_bytes_of_a_database_without_an_encoding_are_text_or_park_their_table() {
    let pair = between(15, 15);
    let fill = "insert into t values (1, 'größe'), (2, 'b')";
    let change = "update t set v = 'ü' where id = 1; insert into t values (3, 'x' || chr(255))";
    let refused = Some("invalid byte sequence for encoding");
    replicate(&pair, "SQL_ASCII", "UTF8", "bytes", fill, change, refused);
    assert_eq!(held(&pair, "bytes"), "1ü,2b,3euro");
    replicate(
        &pair,
        "SQL_ASCII",
        "SQL_ASCII",
        "same_bytes",
        fill,
        change,
        None,
    );
    let length = "select octet_length(v) from t where id = 3 and v = 'x' || chr(255)";
    assert_eq!(pair.subscribers[0].psql("same_bytes", length), "2");
}
