//! SS-04: databases of different encodings. What both can hold is the same; what one cannot hold parks the table by name.

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

/// Replicates one database of the pair's servers and gives the text of `t` on the subscriber, as UTF-8.
fn replicate(
    pair: &Replication,
    from: &str,
    to: &str,
    db: &str,
    fill: &str,
    change: &str,
) -> String {
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
    wait_until("the tables to be ok", Duration::from_secs(60), || {
        let listed = replay.run(&["tables"]).ok().stdout;
        listed.contains("public.t ok") && listed.contains("public.u ok")
    });
    utf8(provider, db, &format!("{change}; insert into u values (1)"));
    wait_until("the change to be seen", Duration::from_secs(60), || {
        subscriber.psql(db, "select count(*) from u") == "1"
    });
    if change.contains('€') {
        wait_until("the table to be parked", Duration::from_secs(60), || {
            subscriber
                .psql(
                    db,
                    "select error from trunkline.table_state where state = 'parked'",
                )
                .contains("has no equivalent in encoding")
        });
        provider.psql(db, "update t set v = 'euro' where id = 3");
        replay.run(&["resume"]);
    } else {
        replay.run(&["wait", "--timeout", "60"]).ok();
    }
    utf8(
        subscriber,
        db,
        "select string_agg(id || v, ',' order by id) from t",
    )
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
        let held = replicate(&pair, from, to, db, fill, change);
        assert_eq!(held, "1Grüße,4ñandú", "{from} to {to}");
    }
    let held = replicate(
        &pair,
        "EUC_JP",
        "UTF8",
        "from_japan",
        "insert into t values (1, '日本'), (2, '語')",
        "insert into t values (4, 'かな'); update t set v = '漢字' where id = 1; delete from t where id = 2",
    );
    assert_eq!(held, "1漢字,4かな");
    let held = replicate(
        &pair,
        "UTF8",
        "LATIN1",
        "no_euro",
        "insert into t values (1, 'a'), (2, 'b')",
        "update t set v = 'ü' where id = 1; insert into t values (3, '5 €')",
    );
    assert!(held.starts_with("1"), "{held}");
}
