//! Partitioned tables and inheritance: each change is logged once, whatever table a statement names.

use sql::event::Mark;
use tests::{Server, choose};

use crate::provider::{Provider, refused};

crate::cases::cases! {
    pt_01_pt_05_pt_06_each_change_is_logged_once_at_whatever_level_it_is_made
    pt_02_a_row_that_moves_is_one_update_and_nested_statements_read_the_whole_tree
    partitions_that_come_and_go_take_their_rows_with_them
    partitions_that_come_and_go_without_event_triggers_take_their_rows_with_them
    pt_07_rows_of_an_inheritance_tree_are_those_of_their_own_table
    pt_07_rows_of_an_inheritance_tree_are_told_apart_without_event_triggers_too
    a4_the_values_of_a_bound_tell_exactly_the_rows_that_the_server_puts_there
}

/// Tables partitioned by values of many kinds, each with rows of which some lie at the very bounds.
const BOUNDS: &str = r#"
    create table l (k text) partition by list (k);
    create table l1 partition of l for values in ('a', 'it''s', 'NULL', '', E'back\\slash', 'x), (y', '"q"');
    create table l2 partition of l for values in (null, 'FOR VALUES IN', ' a ');
    insert into l values ('a'), ('it''s'), ('NULL'), (''), (E'back\\slash'), ('x), (y'), ('"q"'), (null), ('FOR VALUES IN'), (' a ');
    create table n (k int, d numeric(6,2)) partition by range (k, d);
    create table n1 partition of n for values from (minvalue, minvalue) to (-5, 1.5);
    create table n2 partition of n for values from (-5, 1.5) to (7, minvalue);
    create table n3 partition of n for values from (7, minvalue) to (7, maxvalue);
    create table n4 partition of n for values from (8, -0.25) to (maxvalue, maxvalue);
    insert into n values (-9, 0), (-5, 1.49), (-5, 1.5), (0, 0), (6, 99), (7, -99), (7, 0), (7, 99), (8, -0.25), (9, -1);
    create table b (k bool) partition by list (k);
    create table b1 partition of b for values in (true); create table b2 partition of b for values in (false);
    insert into b values (true), (false);
    create table w (k timestamptz, c char(3)) partition by range (k);
    create table w1 partition of w for values from ('2020-01-01 00:00:00+02') to ('2021-06-01 12:30:00.25+00') partition by list (c);
    create table w11 partition of w1 for values in ('a', 'bc '); create table w12 partition of w1 for values in ('d');
    create table w2 partition of w for values from ('2021-06-01 12:30:00.25+00') to (maxvalue);
    insert into w values ('2019-12-31 22:00:00+00', 'a'), ('2021-06-01 12:30:00.249+00', 'bc'), ('2020-05-05', 'd'), ('2021-06-01 12:30:00.25+00', 'zz');
    create table s (k text collate "C", v varchar(9) collate "C") partition by range (k, v);
    create table s1 partition of s for values from ('A', 'z') to ('a', 'M'); create table s2 partition of s for values from ('a', 'M') to ('a', 'm');
    insert into s values ('A', 'z'), ('Z', ''), ('a', 'L'), ('a', 'M'), ('a', 'l')"#;

/// Of a default partition, which PostgreSQL 10 has not.
const REST: &str = "
    create table l9 partition of l default; insert into l values ('b'), ('null'), ('A');
    create table n9 partition of n default; insert into n values (8, -0.26), (null, 1), (1, null), (null, null);
    create table b9 partition of b default; insert into b values (null);
    create table w19 partition of w1 default; insert into w values ('2020-02-02', 'q'), ('2020-02-02', null);
    create table w9 partition of w default; insert into w values ('2019-01-01', 'a'), (null, 'a')";

async fn a4_the_values_of_a_bound_tell_exactly_the_rows_that_the_server_puts_there(p: Provider) {
    p.run(BOUNDS).await;
    if p.version() >= 11 {
        p.run(REST).await;
    }
    let leaves = p
        .ask(
            "select string_agg(c.relname || ' ' || r.relname, ',') from pg_class c
              cross join lateral trunkline.ancestors(c.oid) a join pg_class r on r.oid = a and not r.relispartition
              where c.relispartition and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')",
        )
        .await;
    let mut rows = 0;
    for leaf in leaves.split(',') {
        let (leaf, root) = leaf.split_once(' ').unwrap();
        // Whatever the session of the ALTER has set, a bound is read as it is written.
        p.run("set standard_conforming_strings = off; set DateStyle = 'SQL, DMY'; set TimeZone = 'Asia/Tokyo'")
            .await;
        let facts = p
            .ask(&format!("select trunkline.part_facts('{leaf}'::regclass)"))
            .await;
        p.run("reset standard_conforming_strings; reset DateStyle; reset TimeZone")
            .await;
        let condition = crate::provider::condition(&serde_json::from_str(&facts).unwrap());
        let wrong = p
            .ask(&format!(
                "select string_agg(t::text, ' ') from {root} t
                  where (({condition}) is true) is distinct from exists (select from trunkline.ancestors(t.tableoid) a where a = '{leaf}'::regclass)"
            ))
            .await;
        assert_eq!(wrong, "", "{leaf}: {facts}\n{condition}");
        rows += 1;
    }
    assert!(rows >= 14, "{leaves}");
}

/// A table of three levels: a leaf with another order of columns and a dropped one, a sub-partitioned one, and
/// where there are such a default and hash partitions.
async fn tree(p: &Provider) {
    p.run(
        "create table r (id int not null, d int not null, v text) partition by range (d);
         create table r1 partition of r for values from (0) to (10);
         create table r2 (v text, gone int, d int not null, id int not null);
         alter table r2 drop gone;
         alter table r attach partition r2 for values from (10) to (20);
         create table r3 partition of r for values from (20) to (30) partition by list (v);
         create table r3a partition of r3 for values in ('a', 'b')",
    )
    .await;
    if p.cluster.version() >= 11 {
        p.run(
            "create table r3d partition of r3 default;
             create table r4 partition of r for values from (30) to (40) partition by hash (id);
             create table r4a partition of r4 for values with (modulus 2, remainder 0);
             create table r4b partition of r4 for values with (modulus 2, remainder 1)",
        )
        .await;
    }
    for leaf in ["r1", "r2", "r3a", "r3d", "r4a", "r4b"] {
        p.run(&format!(
            "do $$ begin if to_regclass('{leaf}') is not null then create unique index on {leaf} (id, d, v); end if; end $$"
        ))
        .await;
    }
}

async fn pt_01_pt_05_pt_06_each_change_is_logged_once_at_whatever_level_it_is_made(
    mut p: Provider,
) {
    tree(&p).await;
    p.run("alter table r alter v set not null").await;
    p.run("insert into r values (100, 1, 'before')").await;
    p.run("delete from r").await;
    p.add_by("r", "key", Some(&["id", "d", "v"])).await;
    for (sql, events) in [
        (
            "insert into r values (1, 1, 'x'), (2, 12, 'y'), (3, 21, 'a')",
            1,
        ),
        ("insert into r2 values ('leaf', 13, 4)", 1),
        ("insert into r3 values (5, 22, 'b')", 1),
        ("insert into r3a values (6, 23, 'a')", 1),
        ("update r set v = v where id < 3", 1),
        ("update r2 set v = v || '!'", 2),
        ("delete from r3 where id = 5", 1),
        ("delete from only r2", 1),
        ("update only r set v = 'nothing'", 0),
    ] {
        p.events().await;
        p.run(sql).await;
        assert_eq!(p.events().await.len(), events, "{sql}");
    }
    p.check("tree").await;
    p.run("insert into r select i, i % 30, 'a' from generate_series(20, 999) i where i % 30 < 20; update r set v = v || 'x' where id > 500 and d < 20")
        .await;
    p.check("bulk").await;
}

async fn pt_02_a_row_that_moves_is_one_update_and_nested_statements_read_the_whole_tree(
    mut p: Provider,
) {
    tree(&p).await;
    if p.cluster.version() < 11 {
        // Rows do not move there, and no root has a key.
        refused(
            &p.client,
            "select trunkline.add_table('q', 'job', 'public', 'r')",
        )
        .await;
        return;
    }
    p.run("drop table r3, r4; create unique index on r (id, d)")
        .await;
    p.add("r").await;
    p.run("insert into r select i, i from generate_series(0, 9) i")
        .await;
    p.events().await;
    p.run("update r set d = d + 10 where id < 5").await;
    p.check("moved").await;
    p.run(
        "create function nested() returns trigger language plpgsql as $f$ begin
            if pg_trigger_depth() < 2 then update r set v = coalesce(v, '') || 'n', d = (d + 10) % 20 where id = new.id; end if;
            return null; end $f$;
         create trigger nested after insert or update on r1 for each row execute procedure nested()",
    )
    .await;
    for sql in [
        "insert into r values (50, 1)",
        "insert into r1 values (51, 2)",
        "update r set v = 'outer' where id > 4",
        "update r set d = (d + 10) % 20",
        "do $$ begin insert into r values (60, 3); delete from r2 where id = 60; update r set v = 'z'; end $$",
    ] {
        p.run(sql).await;
        p.check(sql).await;
    }
}

async fn partitions_that_come_and_go_take_their_rows_with_them(p: Provider) {
    come_and_go(p).await;
}

async fn partitions_that_come_and_go_without_event_triggers_take_their_rows_with_them(p: Provider) {
    let mut late = p.without_event_triggers().await;
    // What a partition held that came since the last look is not known when it goes through the root.
    late.check_claims = false;
    come_and_go(late).await;
}

async fn come_and_go(mut p: Provider) {
    p.run(
        "create table r (id int not null, d int not null, v text) partition by range (d);
         create table r1 partition of r for values from (0) to (10); create unique index on r1 (id, d)",
    )
    .await;
    p.add_by("r", "key", Some(&["id", "d"])).await;
    p.run("insert into r values (1, 1, 'one')").await;
    for (sql, late) in [
        // Captured at once, also where it is written directly.
        ("create table r2 partition of r for values from (10) to (20); create unique index on r2 (id, d); insert into r2 values (2, 11, 'new')", true),
        ("create table r3 (id int not null, d int not null, v text); insert into r3 select i, 20 + i % 10, 'filled' from generate_series(1, 500) i;
          create unique index on r3 (id, d); alter table r attach partition r3 for values from (20) to (30); update r set v = 'w' where d = 21", true),
        ("update r3 set v = 'through the leaf' where d = 22", false),
        ("alter table r detach partition r3; insert into r3 values (7, 99, 'no part any more'); delete from r3 where d = 23", true),
        ("drop table r2", true),
        ("begin; create table r4 (like r3); insert into r4 values (4, 31, 'x'); create unique index on r4 (id, d);
          alter table r attach partition r4 for values from (30) to (40); delete from r where id = 4; commit", true),
        ("truncate r4", false),
        ("insert into r4 values (5, 32, 'y'); truncate r", false),
        ("drop table r4; alter table r attach partition r3 for values from (20) to (100)", true),
    ] {
        p.run(sql).await;
        if late && p.ask("select trunkline.capture_mode()").await == "fingerprint" {
            assert!(p.upkeep().await.contains("has changed"), "{sql}");
        }
        p.check(sql).await;
    }
    assert!(
        p.marks
            .iter()
            .any(|(_, mark)| matches!(mark, Mark::Emptied(_)))
    );
}

#[tokio::test]
async fn partitions_detached_concurrently_take_their_rows_with_them_also_when_that_was_interrupted()
{
    for version in choose("versions", vec![14, 15, 16, 17, 18], vec![15]) {
        let server = Server::version(version);
        detach_concurrently(Provider::on(&server).await).await;
        let p = Provider::on(&server).await.without_event_triggers().await;
        detach_concurrently(p).await;
    }
}

async fn detach_concurrently(mut p: Provider) {
    p.run(
        "create table r (id int not null, d int not null, primary key (id, d)) partition by range (d);
         create table r1 partition of r for values from (0) to (10);
         create table r2 partition of r for values from (10) to (20);
         create table r3 partition of r for values from (20) to (30)",
    )
    .await;
    p.add("r").await;
    p.run("insert into r select i, i % 30 from generate_series(1, 300) i")
        .await;
    p.check("filled").await;
    let late = p.ask("select trunkline.capture_mode()").await == "fingerprint";
    let told = async |p: &Provider, sql: &str| {
        p.run(sql).await;
        if late {
            assert!(p.upkeep().await.contains("has changed"), "{sql}");
        }
    };
    told(&p, "alter table r detach partition r2 concurrently").await;
    p.run("insert into r2 values (1000, 11); insert into r values (1001, 1)")
        .await;
    p.check("detached").await;
    // It waits for whoever has read the table; cancelled there, the partition is neither in nor out until FINALIZE.
    let reader = p.another().await;
    reader
        .batch_execute("begin; select count(*) from r")
        .await
        .expect("read");
    p.run("set statement_timeout = '1s'").await;
    let (code, ..) = refused(&p.client, "alter table r detach partition r3 concurrently").await;
    assert_eq!(code, "57014");
    p.run("reset statement_timeout").await;
    reader.batch_execute("rollback").await.expect("rollback");
    p.run("insert into r values (1002, 2)").await;
    told(&p, "alter table r detach partition r3 finalize").await;
    p.run("insert into r3 values (1003, 21)").await;
    p.check("finalized").await;
    assert_eq!(p.ask("select count(*) from r").await, "102");
}

#[tokio::test]
async fn truncate_of_a_leaf_names_the_rows_that_went() {
    let mut p = Provider::start().await;
    tree(&p).await;
    p.run("drop table r4; alter table r3 alter v set not null; create unique index on r (id, d, v); alter table r alter v set not null").await;
    p.add("r").await;
    p.run("insert into r values (1, 1, 'x'), (2, 12, 'y'), (3, 21, 'a'), (4, 22, 'c')")
        .await;
    p.run("truncate r3a").await;
    p.check("a leaf of a level below").await;
    p.run("truncate r2, r1").await;
    p.check("two leaves").await;
    assert_eq!(p.mirrored("r").len(), 1);
}

#[tokio::test]
async fn hash_partitions_and_keys_by_expression_are_emptied_by_name_only() {
    let mut p = Provider::start().await;
    p.run(
        "create table h (id int primary key) partition by hash (id);
         create table h0 partition of h for values with (modulus 2, remainder 0);
         create table h1 partition of h for values with (modulus 2, remainder 1);
         create table e (id text, primary key (id)) partition by list (id);
         create table e1 partition of e for values in ('a')",
    )
    .await;
    p.run("create function f(text) returns text language sql immutable as 'select $1'; create table x (id text) partition by list (f(id));
           create table x1 partition of x for values in ('a')").await;
    let condition = async |part: &str| {
        p.ask(&format!(
            "select coalesce(trunkline.part_facts('{part}'::regclass) ->> 'where', 'none')"
        ))
        .await
    };
    assert_eq!(condition("h0").await, "none");
    assert_eq!(
        condition("x1").await,
        "none",
        "a user's function must not run at a reader"
    );
    assert_eq!(
        condition("e1").await,
        "((id IS NOT NULL) AND (id = 'a'::text))"
    );
    let within = p
        .ask("select trunkline.part_facts('e1'::regclass) ->> 'within'")
        .await;
    assert_eq!(
        within,
        r#"[{"in": ["a"], "columns": [{"name": "id", "type": "text"}]}]"#
    );
    p.add("h").await;
    p.run("insert into h select generate_series(1, 100)").await;
    p.check_claims = false;
    p.events_of_marks(
        "truncate h0",
        "bound: Some(\"FOR VALUES WITH (modulus 2, remainder 0)\"), within: None",
    )
    .await;
}

async fn pt_07_rows_of_an_inheritance_tree_are_those_of_their_own_table(mut p: Provider) {
    inheritance(&mut p, true).await;
}

async fn pt_07_rows_of_an_inheritance_tree_are_told_apart_without_event_triggers_too(p: Provider) {
    inheritance(&mut p.without_event_triggers().await, false).await;
}

async fn inheritance(p: &mut Provider, sees_ddl: bool) {
    p.run(
        "create table parent (id int primary key, v text);
         create table child (extra text default 'e', primary key (id)) inherits (parent);
         create table grandchild (primary key (id)) inherits (child)",
    )
    .await;
    for table in ["parent", "child", "grandchild"] {
        p.add(table).await;
    }
    for sql in [
        "insert into parent values (1, 'p'); insert into child values (1, 'c', 'x'); insert into grandchild values (1, 'g', 'y'), (2, 'g', 'z')",
        "update parent set v = v || '!'",
        "update only parent set v = 'only'",
        "update parent set id = id + 10 where id = 1",
        "delete from child where id = 2",
        "do $$ begin insert into child values (5, 'a'); update parent set v = 'b' where id = 5; delete from parent where id = 11; end $$",
        "truncate only parent",
        "insert into parent select i, 'bulk' from generate_series(1, 300) i; update parent set v = 'x'; delete from parent where id % 3 = 0",
        "truncate parent",
    ] {
        p.run(sql).await;
        p.check(sql).await;
    }
    if sees_ddl {
        p.run("create table alone (id int primary key, v text)")
            .await;
        p.add("alone").await;
        p.run("insert into alone values (1, 'a')").await;
        p.run("create table late (primary key (id)) inherits (alone); insert into late values (2, 'b'); update alone set v = 'c'").await;
        p.check("a child that came later").await;
        assert_eq!(p.mirrored("alone").len(), 1);
        p.run("drop table late; update alone set v = 'd'").await;
        p.check("and went").await;
    }
}

#[tokio::test]
async fn pt_08_a_thousand_leaves_are_captured_and_written() {
    let leaves = choose(
        "leaves",
        (0..1000).collect::<Vec<i32>>(),
        (0..200).collect(),
    )
    .len();
    let mut p = Provider::start().await;
    p.run("create table r (id int, d int, primary key (id, d)) partition by list (d)")
        .await;
    p.run(&format!(
        "do $$ begin for i in 0 .. {} loop execute format('create table r%s partition of r for values in (%s)', i, i); end loop; end $$",
        leaves - 1
    ))
    .await;
    let begin = std::time::Instant::now();
    p.add("r").await;
    println!("capture of {leaves} leaves took {:?}", begin.elapsed());
    p.run(&format!("insert into r select i, i % {leaves} from generate_series(1, 2000) i; update r set id = id + 5000 where d < 5; delete from r where d = 7"))
        .await;
    p.check("leaves").await;
    assert_eq!(
        p.ask("select count(*) from pg_trigger where tgname like 'trunkline%'")
            .await,
        (4 * (leaves + 1)).to_string()
    );
    p.run("select trunkline.remove_table('q', 'job', 'public', 'r')")
        .await;
    assert_eq!(
        p.ask("select count(*) from pg_trigger where tgname like 'trunkline%'")
            .await,
        "0"
    );
}
