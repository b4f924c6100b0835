//! Tables that cannot be added, by name and in all.

use tests::Replication;

/// A provider with all that cannot be added, and a subscriber where things lack.
fn awkward() -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table good (id int primary key, v text); \
         create table only_here (id int primary key, v text); \
         create table no_key (id int, v text); \
         create table lacks_column (id int primary key, v text, w text); \
         create table filled (id int primary key, v text); \
         create unlogged table unlogged (id int primary key); \
         create view a_view as select * from good; \
         create materialized view a_matview as select * from good; \
         create sequence a_sequence; \
         insert into good values (1, 'one')",
    );
    replication.on_subscriber(
        "create table good (id int primary key, v text); \
         create table no_key (id int, v text); \
         create table lacks_column (id int primary key, v text); \
         create table filled (id int primary key, v text); \
         create table unlogged (id int primary key); \
         create view a_view as select * from good; \
         insert into filled values (1, 'mine')",
    );
    replication.start();
    replication
}

/// Nothing of a table that could not be added is left on either side.
#[track_caller]
fn nothing_of(replication: &Replication, table: &str) {
    let triggers = replication.on_provider(&format!(
        "select count(*) from pg_trigger where tgrelid = '{table}'::regclass and not tgisinternal"
    ));
    assert_eq!(triggers, "0", "triggers on {table}");
    assert!(
        !replication
            .tables()
            .iter()
            .any(|state| state.table.ends_with(table)),
        "{table} is registered"
    );
}

#[test]
fn tables_that_cannot_be_added_are_refused_with_a_reason_and_nothing_is_half_done() {
    let replication = awkward();
    for (table, words) in [
        ("only_here", &["only_here", "subscriber"][..]),
        ("no_key", &["no_key", "key"]),
        ("lacks_column", &["lacks_column", "column", "w"]),
        ("filled", &["filled", "--truncate"]),
        ("unlogged", &["unlogged"]),
        ("a_view", &["a_view", "view"]),
        ("a_matview", &["a_matview", "view"]),
    ] {
        replication.replay.run(&["add", table]).code(3).says(words);
        nothing_of(&replication, table);
    }
    for (table, words) in [
        ("a_sequence", &["a_sequence", "sequence"][..]),
        ("good_pkey", &["good_pkey"]),
        ("pg_catalog.pg_class", &["pg_class"]),
        ("pgq.queue", &["pgq.queue"]),
        ("nowhere", &["nowhere"]),
        ("no.such.table", &["no.such.table"]),
    ] {
        let output = replication.replay.run(&["add", table]);
        assert!([2, 3].contains(&output.code), "{output:?}");
        output.says(words);
    }
    // One that can be added beside one that cannot: done in part.
    replication
        .replay
        .run(&["add", "good", "no_key"])
        .code(1)
        .says(&["no_key"]);
    nothing_of(&replication, "no_key");
    replication.wait_ok();
    replication.sync();
    tests::same(
        (&replication.provider, replication.db()),
        (&replication.subscribers[0], replication.db()),
        "public.good",
    );
    // Again is no error, and changes nothing.
    replication.replay.run(&["add", "good"]).ok();
    assert_eq!(replication.tables().len(), 1);
}

#[test]
fn add_all_adds_what_it_can_lists_the_rest_and_ends_with_1() {
    let replication = awkward();
    replication.replay.run(&["add", "--all"]).code(1).says(&[
        "only_here",
        "no_key",
        "lacks_column",
        "filled",
    ]);
    replication.wait_ok();
    let tables = replication.tables();
    assert_eq!(tables.len(), 1);
    assert_eq!(tables[0].table, "public.good");
    for table in ["only_here", "no_key", "lacks_column", "filled", "unlogged"] {
        nothing_of(&replication, table);
    }
    // With the word that says what to do with the rows there, it goes.
    replication
        .replay
        .run(&["add", "filled", "--truncate"])
        .ok();
    replication.wait_ok();
    assert_eq!(
        replication.on_subscriber("select count(*) from filled"),
        "0"
    );
}
