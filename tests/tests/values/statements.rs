//! CN, PK, TO, TX, TR: what statements and transactions leave on the subscriber.

use crate::pair::{assert_same, between};

/// A case, and the statements that go to psql one message each.
const CASES: &[(&str, &[&str])] = &[
    ("CN-01 unique swap", &["update swapped set u = 3 - u"]),
    ("CN-04 ON CONFLICT", &[
        "insert into t select g, 'new' from generate_series(501, 1500) g on conflict (id) do update set v = t.v || ' met'",
        "insert into t select g, 'never' from generate_series(1, 2000, 2) g on conflict do nothing",
    ]),
    ("CN-05 MERGE", &[
        "merge into t using generate_series(1900, 2100) g on t.id = g when matched and g % 3 = 0 then delete
         when matched and g % 3 = 1 then update set v = 'merged' when matched then do nothing
         when not matched and g % 2 = 0 then insert values (g, 'merged') when not matched then do nothing",
    ]),
    ("CN-06 writing CTEs", &[
        "with d as (delete from t where id < 100 returning *) insert into arch select * from d",
        "with p as (insert into parent values (100) returning id), c as (insert into child select 100, 100 from (values (1)) x returning id)
         select count(*) from p, c",
    ]),
    ("CN-07 COPY", &[
        "copy t (id, v) from program 'seq 10000 19999 | sed ''s/$/\\tcopied/'''",
        "create table fresh_copy (like t); copy t to '/dev/null' (format binary)",
    ]),
    ("CN-08 exclusion constraint", &[
        "begin; set constraints all deferred; update booked set during = '[10,20)' where id = 1;
         update booked set during = '[1,5)' where id = 2; commit",
    ]),
    ("CN-10 nothing changes", &[
        "update t set v = v where id < 1000", "update t set v = 'x' where false", "delete from t where id = -1",
    ]),
    ("PK-01 every key changes, simple and composite", &[
        "update t set id = -id", "update t set id = -id where id < 0", "update pairs set a = b, b = a", "update pairs set b = b + 1000",
    ]),
    ("PK-02 two keys change places over a third", &[
        "begin; update t set id = 0 where id = 301; update t set id = 301 where id = 303; update t set id = 303 where id = 0; commit",
    ]),
    ("TO-02 a key that is stored apart", &[
        "insert into wide_keyed select repeat('key', 30000) || g, g from generate_series(1, 20) g",
        "update wide_keyed set v = -v", "update wide_keyed set k = k || '!' where v > -10", "delete from wide_keyed where v < -15",
    ]),
    ("TX-02 savepoints", &[
        "begin; insert into t values (-1, 's'); savepoint s1; insert into t values (-2, 's'); savepoint s2;
         insert into t values (-3, 's'); savepoint s3; delete from t where id = -1; rollback to s2;
         insert into t values (-4, 's'); release s1; update t set v = 'kept' where id = -2; commit",
        "begin; delete from t; rollback",
    ]),
    ("TR-01 truncate, then insert", &["begin; truncate arch; insert into arch values (1, 'after'); commit"]),
    ("TR-02 two tables in one statement", &["truncate child, parent", "insert into parent values (7); insert into child values (1, 7)"]),
    ("TR-03 restart identity", &["truncate numbered restart identity", "insert into numbered (v) values ('again')"]),
    ("TR-04 rolled back", &["begin; truncate t; rollback"]),
    ("TX-18 bulk over many tables", &["do $$ begin for i in 1..20 loop
         execute format('insert into bulk%s select g, g from generate_series(1, 2000) g', i); end loop; end $$"]),
];

#[test]
fn cn_tx_tr_every_statement_leaves_the_same_on_the_subscriber() {
    let replication = between(15, 15);
    let bulk: String = (1..=20)
        .map(|n| format!("create table bulk{n} (id int primary key, v int);"))
        .collect();
    replication.everywhere(&format!(
        "create table t (id int primary key, v text); create table arch (like t including all);
         create table swapped (id int primary key, u int unique deferrable initially immediate);
         create table parent (id int primary key);
         create table child (id int primary key, p int references parent on delete cascade deferrable initially deferred);
         create extension btree_gist;
         create table booked (id int primary key, room int, during int4range,
            exclude using gist (room with =, during with &&) deferrable);
         create table numbered (id serial primary key, v text);
         create table pairs (a int, b int, primary key (a, b)); create table wide_keyed (k text primary key, v int); {bulk}"
    ));
    replication.on_provider(
        "insert into t select g, 'v' from generate_series(1, 2000, 2) g; insert into swapped values (1, 1), (2, 2);
         insert into booked values (1, 1, '[1,5)'), (2, 1, '[10,20)'); insert into numbered (v) values ('a'), ('b');
         insert into pairs select g, g + 10000 from generate_series(1, 500) g;
         create function seen() returns trigger language plpgsql as 'begin return new; end';
         create trigger seen before insert on t for each row execute procedure seen()",
    );
    replication.start();
    replication.add_all();
    let tables: Vec<String> = [
        "t",
        "arch",
        "swapped",
        "parent",
        "child",
        "booked",
        "numbered",
        "pairs",
        "wide_keyed",
    ]
    .iter()
    .map(|name| (*name).to_owned())
    .chain((1..=20).map(|n| format!("bulk{n}")))
    .collect();
    for (case, statements) in CASES {
        println!("{case}");
        for statement in *statements {
            replication.on_provider(statement);
        }
        if case.starts_with("TX-18") || case.starts_with("TR-0") {
            assert_same(&replication, &tables);
        }
    }
    // CN-07: what fails near its end leaves nothing.
    let failed = replication.provider.try_psql(
        replication.db(),
        "copy t (id, v) from program 'seq 20000 29999 | sed ''s/$/\\tx/''; echo no number'",
    );
    assert_ne!(failed.code, 0);
    assert_eq!(
        replication.on_provider("select count(*) from t where id >= 20000"),
        "0"
    );
    assert_same(&replication, &tables);
    // CN-13: the subscriber is stricter.
    replication.on_subscriber("alter table arch add constraint strict check (v <> 'no')");
    replication
        .on_provider("insert into arch values (5, 'no'); insert into t values (-10, 'goes on')");
    tests::wait_until(
        "the table to be parked",
        std::time::Duration::from_secs(120),
        || {
            replication
                .on_subscriber("select error from trunkline.table_state where state = 'parked'")
                .contains("strict")
        },
    );
    replication.on_subscriber("alter table arch drop constraint strict");
    replication.wait_ok();
    assert_same(&replication, &tables);
    // TR-09: documented as not captured.
    replication.on_provider(
        "set session_replication_role = replica; insert into arch values (6, 'unseen')",
    );
    replication.sync();
    assert_eq!(
        replication.on_subscriber("select count(*) from arch where id = 6"),
        "0"
    );
}

/// Failures of writers at SERIALIZABLE that read and write rows of their own, with capture and without.
#[test]
fn tx_07_serializable_writers_of_tables_of_their_own_never_fail_for_capture() {
    let replication = between(15, 15);
    // A table for each writer: rows of one page can fail each other without capture, too. What
    // the writers share is the queue.
    for writer in 0..4 {
        replication.everywhere(&format!(
            "create table t{writer} (id int primary key, v int)"
        ));
        replication.on_provider(&format!(
            "insert into t{writer} select g, 0 from generate_series(1, 16) g"
        ));
    }
    replication.start();
    replication.add_all();
    let failures: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer: i32| {
                let replication = &replication;
                scope.spawn(move || {
                    let session = tests::Session::new(&replication.provider, replication.db());
                    session.ask("set default_transaction_isolation = serializable");
                    session.ask("create or replace function pg_temp.attempt(sql text) returns int language plpgsql as
                        $$ begin execute sql; return 0; exception when serialization_failure then return 1; end $$");
                    (0..150)
                        .filter(|round| {
                            let id = round % 16 + 1;
                            let sql = match round % 3 {
                                0 => format!("update t{writer} set v = v + 1 where id = {id}"),
                                1 => format!("insert into t{writer} values ({}, {round})", 1000 + round),
                                _ => format!("delete from t{writer} where id = {}", 1000 + round - 1),
                            };
                            session.ask(&format!("select pg_temp.attempt('{sql}')")) == "1"
                        })
                        .count()
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum()
    });
    assert_eq!(failures, 0, "false serialization failures");
    assert_same(
        &replication,
        &["t0".into(), "t1".into(), "t2".into(), "t3".into()],
    );
}
