//! Tables of every shape come over whole: empty, without columns, with identity and generated
//! columns, with types that go as text and types that go in binary form (SY-09); sequences.

use tests::Replication;

#[test]
fn sy_09_tables_of_every_shape_are_copied() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create type mood as enum ('sad', 'ok'); create type pair as (a int, b text); \
         create domain positive as int check (value > 0); \
         create table empty (id int primary key, v text); \
         create table big_empty (id int primary key, v text); create index on big_empty (v); \
         create table identity (id int generated always as identity primary key, v text); \
         create table computed (id int primary key, a int, b int generated always as (a * 2) stored); \
         create table gap (x int, id int primary key, y int, z text); alter table gap drop column y; \
         create table portable (id int primary key, a bigint, b numeric, c text, d timestamptz, e interval, f bytea, \
             g float8, h uuid, i jsonb, j int[], k bit varying, l date, m inet, n char(5), o boolean, p point); \
         create table text_only (id int primary key, a mood, b pair, c positive, d money, e mood[], f xml, g pair[], h regtype); \
         create table \"Odd Näme\" (\"Key\" int primary key, \"select\" text); \
         insert into identity (v) select 'v' || i from generate_series(1, 100) i; \
         insert into computed select i, i from generate_series(1, 100) i; \
         insert into gap select i, i, 'z' from generate_series(1, 100) i; \
         insert into portable select i, -i, i / 7.0, E'tab\\t nl\\n \\\\ ' || i, now(), i * interval '1 hour', '\\x00ff', \
             i / 3.0, md5(i::text)::uuid, '{\"a\": [1, null]}', array[i, null], B'101', 'infinity', '10.0.0.1/8', 'ab', i > 5, point(i, 1.5) \
             from generate_series(1, 200) i; \
         insert into portable (id) values (0); \
         insert into portable (id, b, g, d) values (-1, 'NaN', 'Infinity', '-infinity'); \
         insert into text_only select i, 'sad', row(i, 'x,\"y')::pair, 3, 12.5, '{sad,ok}', '<a/>', array[row(1, null)::pair], 'integer' from generate_series(1, 10) i; \
         insert into \"Odd Näme\" values (1, 'x'); \
         create table bare (); insert into bare default values; insert into bare default values; \
         create table fewer (id int primary key, v text, w text); insert into fewer values (1, 'v', 'w')",
    );
    replication.copy_schema();
    replication.on_subscriber(
        "drop table gap; create table gap (z text, own int default 3, id int primary key, x bigint); \
         alter table fewer drop column w",
    );
    replication.start();
    // A column without a place is told by name, and left out only when told to.
    let fewer = replication.replay.run(&["add", "fewer"]).code(3);
    fewer.says(&["public.fewer", "has no column w"]);
    replication
        .replay
        .run(&["add", "fewer", "--columns", "id,v"])
        .ok();
    replication
        .replay
        .run(&["add", "bare", "--identity", "full"])
        .ok();
    replication.add_all();
    assert_eq!(replication.on_subscriber("select count(*) from bare"), "2");
    assert_eq!(replication.on_subscriber("select id || v from fewer"), "1v");
    replication.replay.run(&["remove", "fewer"]).ok();
    replication.on_provider("drop table fewer; insert into bare default values");
    replication.sync();
    replication.assert_same();
    for (table, rows, binary) in [
        ("public.portable", 202, true),
        ("public.text_only", 10, false),
        ("public.gap", 100, false),
        ("public.empty", 0, true),
        ("public.bare", 2, false),
    ] {
        replication.wait_log(&format!("table copied table={table} "));
        let log = replication.replay.log();
        let line = log
            .lines()
            .find(|line| line.contains(&format!("table copied table={table} ")));
        let line = line.unwrap_or_else(|| panic!("{table} is not in the log:\n{log}"));
        assert!(line.contains(&format!("rows={rows} ")), "{line}");
        assert!(line.ends_with(&format!("binary={binary}")), "{line}");
    }
    replication.assert_clean(&[]);
}

#[test]
fn sq_03_sequences_are_set_when_asked_and_differences_are_told() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create sequence down increment -3 minvalue -100 maxvalue -1 start -1; \
         create sequence round minvalue 1 maxvalue 3 cycle; \
         create sequence most maxvalue 9223372036854775807; \
         create sequence \"a.periodic.sequence\"; create sequence \"regress'quote\"; create sequence differs increment 5",
    );
    replication.copy_schema();
    replication.on_subscriber("alter sequence differs increment 1 maxvalue 50");
    replication.start();
    replication.replay.run(&["add-seq", "--all"]).ok();
    replication.replay.run(&["stop"]).ok();
    replication.on_provider(
        "select nextval('down'), nextval('down'), nextval('round'), nextval('round'), nextval('round'), \
         nextval('round'), setval('most', 9223372036854775806), nextval('\"a.periodic.sequence\"'), \
         setval('\"regress''quote\"', 5, false), setval('differs', 45)",
    );
    let listed = replication.replay.run(&["seqs", "--sync"]).ok();
    listed.says(&[
        "warning: public.differs: bigint by 5",
        "to 50 on the subscriber",
    ]);
    let next = "select nextval('down') || ' ' || nextval('round') || ' ' || nextval('most') || ' ' \
        || nextval('\"a.periodic.sequence\"') || ' ' || nextval('\"regress''quote\"')";
    assert_eq!(
        replication.on_subscriber(next),
        "-7 2 9223372036854775807 2 5"
    );
    replication.on_provider("select setval('differs', 60)");
    replication
        .replay
        .run(&["seqs", "--sync"])
        .code(1)
        .says(&["public.differs", "out of bounds"]);
}
