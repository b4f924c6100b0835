//! Copies that begin before an earlier one has brought back all that it took away: what stands on the tables is as it
//! was before the first (F-A8).

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::{Replication, Session, choose, wait_until};

use crate::{SOON, catalog::CATALOG, ddl::same_lines};

/// On the subscriber: refuses rows of a table, or the building of an index, while `how` says so.
const REFUSING: &str = "\
    create table how (what text primary key, refused bool not null default false); \
    insert into how (what) values ('child'), ('parent'), ('whole'); \
    create function refuse() returns trigger language plpgsql as $$ begin \
        if (select refused from public.how where what = 'child') then raise exception 'no child'; end if; \
        return new; end $$; \
    create trigger refuse before insert or update on child for each row execute function refuse(); \
    alter table child enable always trigger refuse; \
    create function builds(n int, i_what text) returns int language plpgsql immutable as $$ begin \
        if (select refused from public.how where what = i_what) then raise exception 'no index of %', i_what; end if; \
        return n; end $$; \
    create index parent_refused on parent (builds(n, 'parent')) where id = 7; \
    create index whole_refused on whole_1 (builds(n, 'whole')) where id = 7";

/// A parent that refers to itself, a table that is in parts on the subscriber, and a child of both.
fn family() -> Replication {
    let replication = Replication::builder()
        .replay_line("parallel_copies = 2")
        .make();
    replication.on_provider(
        "create table parent (id int primary key, up int, v text, n int); \
         create table whole (id int, d int, v text, n int, primary key (id, d)); \
         create table child (id int primary key, parent int, whole_id int, whole_d int); \
         insert into parent select i, nullif(i / 2, 0), repeat('v', 90), i from generate_series(1, 42000) i; \
         insert into whole select i, i % 3, repeat('w', 90), i from generate_series(1, 42000) i; \
         insert into child select i, i, i, i % 3 from generate_series(1, 300) i",
    );
    replication.on_subscriber(
        "create table parent (id int primary key, up int constraint self references parent, v text not null, n int); \
         create unique index parent_vid on parent (v, id); alter table parent replica identity using index parent_vid; \
         create index parent_n on parent (n, (n + 1)) with (fillfactor = 70); \
         alter index parent_n alter column 2 set statistics 77; alter table parent cluster on parent_n; \
         alter table parent add constraint parent_late unique (n, id) deferrable initially deferred; \
         comment on constraint parent_pkey on parent is 'the key'; comment on index parent_vid is 'v'; \
         create table whole (id int, d int, v text, n int, constraint \"the key\" primary key (id, d)) partition by list (d); \
         create table whole_1 partition of whole for values in (0, 1) partition by list (d); \
         create table whole_1_0 partition of whole_1 for values in (0); \
         create table whole_1_1 partition of whole_1 for values in (1); \
         create table whole_2 partition of whole for values in (2); \
         create index whole_n on whole (n desc); comment on index whole_n is 'n'; \
         alter table whole_2 cluster on whole_2_pkey; \
         create table child (id int primary key, parent int constraint of_parent references parent on delete cascade, \
             loose int, whole_id int, whole_d int, constraint of_whole foreign key (whole_id, whole_d) references whole); \
         alter table child drop column loose; \
         alter table child add constraint of_nobody foreign key (parent) references parent not valid; \
         comment on constraint of_parent on child is 'family'",
    );
    replication.on_subscriber(REFUSING);
    replication
}

fn refuse(replication: &Replication, what: &str, refused: bool) {
    replication.on_subscriber(&format!(
        "update how set refused = {refused} where what = '{what}'"
    ));
}

/// Whether nothing waits to be brought back.
fn all_back(replication: &Replication) -> bool {
    replication.on_subscriber("select count(*) from trunkline.kept_ddl") == "0"
}

fn parked(replication: &Replication, table: &str) {
    wait_until("the table to be parked", SOON, || {
        replication.state(table) == "parked"
    });
}

/// The end of each case: whatever was refused is taken, and everything is as it was.
fn ends_as_it_was(replication: &Replication, before: &str) {
    replication.on_subscriber("update how set refused = false");
    replication.wait_ok();
    replication.sync();
    wait_until("all to be back", SOON, || all_back(replication));
    same_lines(before, &replication.on_subscriber(CATALOG));
    replication.assert_same();
}

#[test]
fn a8_a_foreign_key_that_was_valid_is_valid_again_after_further_copies_of_its_parent() {
    let replication = family();
    let before = replication.on_subscriber(CATALOG);
    replication.start();
    replication.add_all();
    wait_until("all to be back", SOON, || all_back(&replication));
    same_lines(&before, &replication.on_subscriber(CATALOG));

    // The child waits, and with it the key: its parent is copied twice meanwhile.
    refuse(&replication, "child", true);
    replication.on_provider("update child set parent = parent where id = 1");
    parked(&replication, "public.child");
    for _ in 0..2 {
        replication.replay.run(&["resync", "parent"]).ok();
        replication.replay.run(&["wait", "--timeout", "1"]).code(4);
        wait_until("the parent to be in, its keys waiting", SOON, || {
            replication.state("public.parent") == "ok"
                && replication.on_subscriber(
                    "select string_agg(name || ' ' || cardinality(attach), ',') from trunkline.kept_ddl",
                ) == "of_parent 0"
        });
    }
    // So it is when the parent leaves the job and comes again.
    replication.replay.run(&["remove", "parent"]).ok();
    replication
        .replay
        .run(&["add", "parent", "--truncate"])
        .ok();
    ends_as_it_was(&replication, &before);

    // Indexes that are built and lack their constraints, marks and comments still.
    let gate = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "insert into trunkline.copied_range values ('replay1', 'public', 'parent', 0)",
    );
    replication.replay.run(&["resync", "parent"]).ok();
    wait_until("the copy to have begun", SOON, || {
        replication
            .on_subscriber("select loading from trunkline.table_state where table_name = 'parent'")
            == "t"
    });
    let reader = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "select count(*) from parent",
    );
    drop(gate);
    wait_until("the indexes to be built", SOON, || {
        replication
            .on_subscriber("select bool_and(build = '{}') and count(*) > 4 from trunkline.kept_ddl")
            == "t"
    });
    replication.replay.kill9();
    drop(reader);
    replication.replay.run(&["resync", "parent"]).ok();
    replication.replay.run(&["start", "-d"]).ok();
    ends_as_it_was(&replication, &before);

    // Indexes of partitions that are back, and those of their tables not.
    refuse(&replication, "whole", true);
    replication.replay.run(&["resync", "whole"]).ok();
    parked(&replication, "public.whole");
    assert_ne!(
        replication.on_subscriber("select count(*) from pg_indexes where tablename like 'whole%'"),
        "0"
    );
    replication.replay.run(&["resync", "whole"]).ok();
    ends_as_it_was(&replication, &before);
    replication.assert_clean(&["table parked", "not brought back"]);
}

/// One turn: a command, which may be killed half way, a table that is refused or taken again, or the daemon's end.
fn turn(replication: &Replication, random: &mut StdRng) {
    let table = ["parent", "parent", "whole", "child"][random.random_range(0..4)];
    match random.random_range(0..10) {
        0..=3 => may_be_killed(replication, random, &["resync", table]),
        4 => {
            may_be_killed(replication, random, &["remove", table]);
            may_be_killed(replication, random, &["add", table, "--truncate"]);
        }
        5..=7 => {
            let refused = random.random_bool(0.5);
            println!("{table} refused: {refused}");
            refuse(replication, table, refused);
            replication.on_provider("update child set parent = parent where id = 1");
        }
        _ => {
            println!("kill -9");
            replication.replay.kill9();
            if random.random_bool(0.3) {
                may_be_killed(replication, random, &["remove", table]);
            }
            replication.replay.run(&["start", "-d"]).ok();
        }
    }
    std::thread::sleep(Duration::from_millis(random.random_range(0..700)));
}

/// Runs a command of replay, and ends it after a moment in one of three cases.
fn may_be_killed(replication: &Replication, random: &mut StdRng, args: &[&str]) {
    let killed = random.random_bool(0.3);
    println!("replay {args:?}, killed: {killed}");
    if !killed {
        replication.replay.run(args);
        return;
    }
    let mut command = replication.replay.command(args);
    let mut child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(random.random_range(10..150)));
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a8_copies_removals_refusals_and_kills_in_any_order_end_with_the_catalog_as_it_was() {
    let seed = std::env::var("TRUNKLINE_SEED").map_or_else(
        |_| rand::rng().random_range(0..1_000_000),
        |seed| seed.parse().unwrap(),
    );
    println!("TRUNKLINE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let replication = family();
    let before = replication.on_subscriber(CATALOG);
    replication.start();
    replication.add_all();
    for _ in choose("turns", vec![(); 200], vec![(); 15]) {
        turn(&replication, &mut random);
    }
    replication.on_subscriber("update how set refused = false");
    for table in ["parent", "whole", "child"] {
        // It is in the job already, but for what a removal took out.
        replication.replay.run(&["add", table, "--truncate"]);
    }
    replication.replay.run(&["resume"]).ok();
    assert_eq!(replication.tables().len(), 3);
    ends_as_it_was(&replication, &before);
}
