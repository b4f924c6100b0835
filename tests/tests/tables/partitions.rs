//! Partitioned on both sides, on one of them, and children that are tables of their own.

use tests::{Cluster, Replication, Server, choose, same};

const FLAT: &str = "create table TABLE (id int, d int, v text, primary key (id, d))";
const PARTS: &str =
    "create table TABLE (id int, d int, v text, primary key (id, d)) partition by range (d);
    create table TABLE_1 partition of TABLE for values from (0) to (10);
    create table TABLE_2 (v text, d int not null, id int not null, primary key (id, d));
    alter table TABLE attach partition TABLE_2 for values from (10) to (20);
    create table TABLE_3 partition of TABLE default";
/// Before PostgreSQL 11 a partitioned table has no key, no default partition, and rows do not move.
const OLD_PARTS: &str =
    "create table TABLE (id int not null, d int not null, v text) partition by range (d);
    create table TABLE_1 partition of TABLE (primary key (id, d)) for values from (0) to (10);
    create table TABLE_2 partition of TABLE (primary key (id, d)) for values from (10) to (20);
    create table TABLE_3 partition of TABLE (primary key (id, d)) for values from (20) to (1000)";

fn make(cluster: &Cluster, db: &str, sql: &str, table: &str) {
    let sql = if cluster.version() < 11 && sql == PARTS {
        OLD_PARTS
    } else {
        sql
    };
    cluster.psql(db, &sql.replace("TABLE", table));
}

#[test]
fn pt_01_pt_02_partitions_on_either_side_or_both() {
    let pairs = choose(
        "pairs",
        vec![(15, 15), (10, 18), (18, 10)],
        vec![(15, 15), (10, 18)],
    );
    for (here, there) in pairs {
        either_side(here, there);
    }
}

fn either_side(here: u32, there: u32) {
    let r = Replication::builder()
        .provider(Cluster::builder(&Server::version(here)))
        .subscribers(vec![Cluster::builder(&Server::version(there))])
        .make();
    let db = r.db();
    let subscriber = &r.subscribers[0];
    for (table, on_provider, on_subscriber) in [
        ("t_both", PARTS, PARTS),
        ("t_apart", FLAT, PARTS),
        ("t_together", PARTS, FLAT),
    ] {
        make(&r.provider, db, on_provider, table);
        make(subscriber, db, on_subscriber, table);
        r.on_provider(&format!(
            "insert into {table} select i, i % 30, 'copied' from generate_series(1, 3000) i"
        ));
    }
    r.start();
    // Where a partitioned table has no key, its columns are named.
    let by = if here < 11 {
        vec!["add", "--all", "--identity", "id,d"]
    } else {
        vec!["add", "--all"]
    };
    // PostgreSQL 10 as a subscriber has no unique index on a partitioned table.
    if there < 11 {
        let said = r.replay.run(&by);
        assert!(
            said.code(1)
                .stderr
                .contains("has no unique index on just its key")
        );
    } else {
        r.replay.run(&by).ok();
    }
    r.wait_ok();
    let tables: Vec<String> = r.tables().into_iter().map(|one| one.table).collect();
    assert_eq!(tables.len(), if there < 11 { 1 } else { 3 }, "{tables:?}");
    for table in &tables {
        // One transaction or many, whole tables or leaves.
        for sql in [
            "insert into TABLE values (5001, 1, 'new'), (5002, 12, 'new'), (5003, 25, 'new')",
            "insert into TABLE_2 (id, d, v) values (5004, 13, 'leaf')",
            "update TABLE set v = v || '!' where id % 7 = 0; delete from TABLE where id % 11 = 0",
            "update TABLE_1 set v = 'through the leaf', id = id + 10000 where id % 5 = 0",
            "update TABLE set d = (d + 10) % 30 where id % 13 = 0",
            "begin; delete from TABLE where d = 3; insert into TABLE select i, 3, 'again' from generate_series(1, 50) i; commit",
            "truncate TABLE_1",
            "insert into TABLE_1 (id, d, v) values (1, 1, 'after')",
            "alter table TABLE detach partition TABLE_2; drop table TABLE_2",
        ] {
            let flat = r.on_provider(&format!(
                "select relkind from pg_class where oid = '{table}'::regclass"
            )) == "r";
            let moves = sql.contains("d = (d + 10)") && here < 11;
            if moves || (flat && sql.contains("TABLE_")) {
                continue;
            }
            r.on_provider(&sql.replace("TABLE", table.trim_start_matches("public.")));
        }
    }
    r.sync();
    for table in &tables {
        same((&r.provider, db), (subscriber, db), table);
    }
    r.assert_no_conflicts();
    r.assert_clean(&[]);
}

#[test]
fn partitions_come_with_rows_and_hash_partitions_are_emptied_where_the_subscriber_has_the_same() {
    let r = Replication::running(
        "create table r (id int primary key, v text) partition by range (id);
         create table r0 partition of r for values from (0) to (100);
         create table h (id int primary key, v text) partition by hash (id);
         create table h0 partition of h for values with (modulus 2, remainder 0);
         create table h1 partition of h for values with (modulus 2, remainder 1);
         create table hf (id int primary key, v text) partition by hash (id);
         create table hf0 partition of hf for values with (modulus 2, remainder 0);
         create table hf1 partition of hf for values with (modulus 2, remainder 1)",
    );
    // Not the same any more: the rows of one hash partition cannot be told from the others'.
    r.on_subscriber("alter table hf detach partition hf0; alter table hf detach partition hf1; drop table hf, hf0, hf1; create table hf (id int primary key, v text)");
    r.on_subscriber("create table r1 partition of r for values from (100) to (2000)");
    r.on_provider(
        "insert into r select i, 'a' from generate_series(1, 99) i; insert into h select i, 'h' from generate_series(1, 500) i;
         insert into hf select i, 'h' from generate_series(1, 500) i;
         create table r1 (id int primary key, v text); insert into r1 select i, 'attached' from generate_series(100, 1999) i;
         alter table r attach partition r1 for values from (100) to (2000); update r set v = 'b' where id % 100 = 0; truncate h1",
    );
    r.sync();
    r.assert_same();
    let h = r.on_subscriber("select count(*) from h1");
    assert_eq!(h, "0");
    r.on_provider("truncate hf1");
    r.wait_parked("public.hf", &["hf1"]);
    r.on_provider(
        "insert into r values (50, 'x') on conflict (id) do update set v = 'others go on'",
    );
    let soon = std::time::Duration::from_secs(120);
    tests::wait_until("the other table's row", soon, || {
        r.on_subscriber("select v from r where id = 50") == "others go on"
    });
    r.assert_clean(&["table parked"]);
}

#[test]
fn pt_07_an_inheritance_tree_is_copied_once_and_followed_table_by_table() {
    let r = Replication::running(
        "create table parent (id int primary key, v text);
         create table child (extra text default 'e', primary key (id)) inherits (parent);
         insert into parent select i, 'p' from generate_series(1, 200) i;
         insert into child select i, 'c' from generate_series(1, 300) i",
    );
    assert_eq!(r.on_subscriber("select count(*) from only parent"), "200");
    assert_eq!(r.on_subscriber("select count(*) from child"), "300");
    r.on_provider(
        "update parent set v = v || '!' where id % 2 = 0; update only parent set v = 'only' where id < 10;
         delete from parent where id % 17 = 0; insert into child values (1000, 'n', 'x')",
    );
    r.sync();
    for table in ["only parent", "child"] {
        let ask =
            format!("select count(*), md5(string_agg(t::text, ',' order by id)) from {table} t");
        assert_eq!(r.on_provider(&ask), r.on_subscriber(&ask), "{table}");
    }
    r.assert_no_conflicts();
    r.assert_clean(&[]);
}
