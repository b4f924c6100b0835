//! SIGKILL of the daemons at random moments: nothing is lost, nothing is applied
//! twice, nobody sees a transaction in halves (FA-01, FA-02, TX-01).

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::{Replication, Transfers, Writes, choose, wait_until};

/// A seed of one's own, printed, or the one of `TRUNKLINE_SEED` again.
fn seeded() -> StdRng {
    let seed = std::env::var("TRUNKLINE_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("TRUNKLINE_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn nap(random: &mut StdRng, millis: std::ops::Range<u64>) {
    std::thread::sleep(Duration::from_millis(random.random_range(millis)));
}

/// Transfers of money, and a line in a journal that is only ever inserted to.
fn writes() -> Writes {
    let transfers = Transfers::writes();
    Arc::new(move |random, number| {
        format!(
            "{}; insert into journal (line) select '{number}.' || i from generate_series(1, {}) i",
            transfers(random, number),
            random.random_range(1..20)
        )
    })
}

fn running() -> Replication {
    let replication = Replication::builder().make();
    Transfers::create(&replication.provider, replication.db());
    replication.on_provider("create table journal (id bigserial primary key, line text)");
    replication.copy_schema();
    replication.start();
    replication.add_all();
    replication
}

#[test]
fn kill9_of_replay_loses_nothing_applies_nothing_twice_and_shows_no_halves() {
    let mut random = seeded();
    let replication = running();
    // Without it a row that is applied twice would be refused; now it would show.
    replication.on_subscriber("alter table journal drop constraint journal_pkey");
    let reader = Transfers::read(&replication.subscribers[0], replication.db());
    let load = replication.load(3, Duration::from_millis(3), &writes());
    let rounds = choose("kills", vec![(); 100], vec![(); 20]).len();
    for _ in 0..rounds {
        nap(&mut random, 20..500);
        replication.replay.kill9();
        nap(&mut random, 0..200);
        replication.replay.run(&["start", "-d"]).ok();
    }
    let totals = load.stop();
    assert_eq!(totals.errors, Vec::<String>::new());
    replication.sync();
    println!(
        "{} transactions, reader read {} times",
        totals.committed,
        reader.stop().unwrap()
    );
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber("select count(*) - count(distinct id) from journal"),
        "0"
    );
    replication.assert_clean(&[]);
}

#[test]
fn kill9_of_the_ticker_stops_nothing_for_good() {
    let mut random = seeded();
    let replication = running();
    let load = replication.load(2, Duration::from_millis(3), &writes());
    let rounds = choose("kills", vec![(); 100], vec![(); 20]).len();
    for _ in 0..rounds {
        nap(&mut random, 20..300);
        replication.ticker.kill9();
        replication.ticker.run(&["start", "-d"]).ok();
    }
    assert_eq!(load.stop().errors, Vec::<String>::new());
    replication.assert_followed(&[]);
}

#[test]
fn kill9_while_tables_are_copied_ends_in_equal_tables_with_all_their_indexes() {
    let mut random = seeded();
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table parent (id int primary key, v text); \
         create table child (id bigserial primary key, parent int references parent, v text, w int); \
         create index child_w on child (w); create unique index child_vw on child (v, id); \
         insert into parent select i, 'p' || i from generate_series(1, 50000) i; \
         insert into child (parent, v, w) select 1 + i % 50000, repeat('v', i % 50), i from generate_series(1, 200000) i",
    );
    replication.copy_schema();
    let catalog = "select indexdef from pg_indexes where schemaname = 'public' union all \
         select pg_get_constraintdef(oid) || convalidated from pg_constraint \
         where connamespace = 'public'::regnamespace order by 1";
    let before = replication.on_subscriber(catalog);
    replication.start();
    let load = replication.load(
        2,
        Duration::from_millis(5),
        &(Arc::new(|random: &mut StdRng, number: u64| {
            let id = random.random_range(1..=50_000);
            match number % 4 {
                0 => format!("insert into child (parent, v, w) values ({id}, 'new', {number})"),
                1 => format!("update child set v = v || 'u' where id = {id}"),
                2 => format!("delete from child where id = {id}"),
                _ => format!("update child set id = -id where id = {id}"),
            }
        }) as Writes),
    );
    replication.replay.run(&["add", "--all"]).ok();
    let rounds = choose("kills", vec![(); 40], vec![(); 8]).len();
    for _ in 0..rounds {
        nap(&mut random, 10..700);
        replication.replay.kill9();
        replication.replay.run(&["start", "-d"]).ok();
    }
    replication.wait_ok();
    assert_eq!(load.stop().errors, Vec::<String>::new());
    replication.sync();
    replication.assert_same();
    wait_until(
        "the indexes and constraints to be back",
        Duration::from_secs(180),
        || replication.on_subscriber(catalog) == before,
    );
    replication.assert_clean(&[]);
}
