//! What `replay add --merge` takes for a condition, and which jobs may write one table.

use tests::{Node, Replication, wait_until};

use crate::filters::SOON;

/// A second job from the same provider into the same database.
fn second(r: &Replication) -> Node {
    let text = std::fs::read_to_string(&r.replay.config).unwrap();
    let path = r.replay.config.with_file_name("second.toml");
    std::fs::write(&path, text.replace("replay1", "second")).unwrap();
    Node::new("replay", &r.scratch, &path, "second")
}

#[test]
fn a_text_that_is_no_condition_of_the_servers_own_is_refused_and_leaves_nothing_behind() {
    let r = Replication::builder().make();
    r.on_provider(
        "create table t (id int primary key, k int, at timestamptz, n numeric, only_there int)",
    );
    r.on_subscriber(
        "create role app; create schema app authorization app; set role app;
         create function app.f(int) returns bool language sql immutable as 'select true';
         create operator app.=== (procedure = app.f, rightarg = int); reset role;
         create type mood as enum ('a'); create domain small as int;
         create function good(int) returns bool language sql immutable as 'select $1 > 1';
         create table t (id int primary key, k int, at timestamptz, n small, only_there int, own int,
                         g int generated always as (1) stored, m mood, \"{1}\" int)",
    );
    r.start();
    for (merge, says) in [
        ("k >", "syntax error at or near \")\""),
        ("k > 1; drop table t", "syntax error at or near \";\""),
        ("k > 1) tablespace x where (k > 2", "syntax error"),
        ("k + 1", "must be type boolean"),
        ("nothing > 1", "column \"nothing\" does not exist"),
        ("g > 0", "column \"g\" does not exist"),
        ("at > now()", "nothing that depends on settings"),
        ("random() > k", "must be marked IMMUTABLE"),
        ("exists (select 1)", "cannot use subquery"),
        ("max(k) > 1", "aggregate functions are not allowed"),
        ("true", "reads no column"),
        ("t is not null", "reads the row as a whole"),
        ("good(k)", "function good(integer) does not exist"),
        ("public.good(k)", "uses function public.good(integer)"),
        ("app.f(k)", "uses function app.f(integer)"),
        ("operator(app.===) k", "uses operator app.===(NONE,integer)"),
        ("k::public.small > 1", "uses type public.small"),
        (
            "n > 1",
            "column \"n\" does not exist (it sees the ordinary columns of the server's own types)",
        ),
        ("m = 'a'", "column \"m\" does not exist"),
        ("\"{1}\" > 1", "has \"{ in it"),
        (
            "own > 1",
            "reads column own, which the provider's rows do not bring",
        ),
    ] {
        r.replay
            .run(&["add", "t", "--merge", merge])
            .code(3)
            .says(&[says]);
    }
    r.replay.run(&["add", "t", "--merge", ""]).code(2);
    r.replay
        .run(&["add", "t", "--merge", "k = 1", "--with-seqs"])
        .code(2);
    let columns = ["add", "t", "--merge", "k = 1", "--columns", "id"];
    r.replay
        .run(&columns)
        .code(3)
        .says(&["which the provider's rows do not bring"]);
    let none = "select count(*) from trunkline.captured";
    assert_eq!(r.on_provider(none), "0");
    let left = "select (select count(*) from pg_class where relpersistence = 't'), (select count(*) from trunkline.table_state)";
    assert_eq!(r.on_subscriber(left), "0|0");
    let dry = ["add", "t", "--merge", "t.k in (1, 2) -- mine", "--dry-run"];
    assert_eq!(
        r.replay.run(&dry).ok().stdout,
        "public.t would be added: merge (k = ANY (ARRAY[1, 2]))\n"
    );
}

#[test]
fn jobs_write_one_table_only_if_each_has_a_condition_of_its_own() {
    let r = Replication::builder().make();
    r.on_provider(
        "create table t (id int primary key, k int, v text); create table u (id int primary key, k int, v text);
         create table w (id int primary key, k int, v text);
         insert into t values (1, 1, 'a'), (2, null, 'b'); insert into u values (3, 2, 'c')",
    );
    r.on_subscriber("create table t (id int primary key, k int, v text); create table s (k int, id int, v text, unique (id, k))");
    r.start();
    let second = second(&r);
    second.run(&["install"]).ok();

    r.replay.run(&["add", "t"]).ok();
    r.wait_ok();
    let u = |more: &[&str]| second.run(&[&["add", "u", "--as", "t"], more].concat());
    u(&[])
        .code(3)
        .says(&["public.t is written to table public.t on the subscriber already, by job replay1"]);
    u(&["--merge", "k = 2"])
        .code(3)
        .says(&["by job replay1 without --merge"]);
    r.replay
        .run(&["add", "t", "--merge", "k is null or k = 1"])
        .code(3)
        .says(&["remove it, and add it again"]);
    r.replay.run(&["remove", "t"]).ok();
    // The rows that are there are this job's, and are said to be.
    let add = ["add", "t", "--merge", "k is null or k = 1"];
    r.replay
        .run(&add)
        .code(3)
        .says(&["holds rows with ((k IS NULL) OR (k = 1))"]);
    r.replay
        .run(&[&add[..], &["--truncate", "--wait"]].concat())
        .ok();
    r.replay
        .run(&["add", "t", "--merge", "k = 5"])
        .code(3)
        .says(&["is replicated already (merge ((k IS NULL) OR (k = 1)))"]);
    assert_eq!(r.replay.run(&add).ok().stdout, "public.t is there\n");
    u(&[])
        .code(3)
        .says(&["by job replay1 with --merge ((k IS NULL) OR (k = 1))"]);
    u(&["--merge", "(k is null) or (k = 1)"])
        .code(3)
        .says(&["with the same --merge"]);
    // A key that is unique only together with something else is not.
    let wide = second.run(&["add", "u", "--as", "s", "--merge", "v = 'x'"]);
    wide.code(3)
        .says(&["no unique index on just its key (id), or on it and columns of --merge"]);
    second.run(&["start", "-d"]).ok();
    u(&["--merge", "k = 2", "--wait"]).ok();
    // Now the first table's name is that of the other one's target; and the condition stays through a copy.
    r.on_provider("update t set v = v || '!'; update u set v = 'd'");
    r.replay.run(&["resync", "t"]).ok();
    r.wait_ok();
    let rows = "select string_agg(id || v, ',' order by id) from t";
    second.run(&["wait"]).ok();
    assert_eq!(r.on_subscriber(rows), "1a!,2b!,3d");
    // Rows that two conditions are true for are of one job only.
    let both = ["add", "w", "--as", "t", "--merge", "k >= 2", "--truncate"];
    r.replay.run(&both).code(3).says(&[
        "its --merge (k >= 2) is true for rows of table public.t on the subscriber that are those of job second, too",
        "whose --merge is (k = 2)",
    ]);
    // A value for all rows of one provider is none for the others'.
    r.on_subscriber("alter table t add n int");
    r.on_provider("alter table u add n int default 7");
    second.run(&["wait"]).ok();
    let filled = "select string_agg(id || '=' || coalesce(n, 0), ',' order by id) from t";
    assert_eq!(r.on_subscriber(filled), "1=0,2=0,3=7");
    r.on_provider("truncate t");
    r.sync();
    assert_eq!(r.on_subscriber(rows), "3d");
    // The condition is asked of what the table holds, and may look into a value.
    r.on_provider("create table z (id int primary key, share numeric, tags text[])");
    r.on_subscriber("create table z (id int primary key, share numeric(3,0), tags text[])");
    r.replay
        .run(&[
            "add",
            "z",
            "--merge",
            "share < 2 and tags[1] = 'a'",
            "--wait",
        ])
        .ok();
    r.on_provider("insert into z values (1, 1.4, '{a,b}')");
    r.on_provider("update z set share = 0.9 where id = 1");
    r.sync();
    assert_eq!(r.on_subscriber("select id || ' ' || share from z"), "1 1");
    r.on_provider("insert into z values (2, 1.6, '{a}')");
    let error = "select coalesce(error, '') from trunkline.table_state where table_name = 'z'";
    wait_until("the row that is stored as 2 to be refused", SOON, || {
        r.on_subscriber(error).contains("--merge says")
    });
    r.on_provider("delete from z where id = 2");
    r.wait_ok();
    // A sequence follows one provider.
    r.everywhere("create sequence numbers");
    r.replay.run(&["add-seq", "numbers"]).ok();
    let taken = second.run(&["add-seq", "numbers"]);
    taken
        .code(3)
        .says(&["numbers: follows the provider of job replay1 already"]);
    second.run(&["stop"]).ok();
}
