//! `replay repair`: rows without a key, and kills at any moment.

use std::{sync::Arc, thread, time::Duration};

use tests::{Load, Replication, Session, same, wait_until};

/// Tables without a key, and one with a key.
const TABLES: &str = "
    create table heap (a int, b text, c float8);
    insert into heap select i % 10, 'x', i % 3 / 7.0 from generate_series(1, 90) i;
    insert into heap values (null, null, 'NaN'), (null, null, 'NaN'), (1, E'it''s \"\\\\ ,(', '-0');
    create table flags (f bool, at timestamptz);
    insert into flags select true, '2026-01-02 03:04:05+00' from generate_series(1, 3);
    create table log (a int); insert into log values (1);
    create table t (id int primary key, v text); insert into t select i, 'v' from generate_series(1, 2000) i";

/// What differs then: nine rows of `heap`, of seven kinds, and one of `flags`.
const PLANTED: &str = "
    delete from heap where ctid in (select min(ctid) from heap where a = 4 group by c); delete from heap where a is null;
    insert into heap values (5, 'x', 5 % 3 / 7.0), (6, 'only here', null), (6, 'only here', null);
    delete from heap where b like 'it%'; insert into flags values (true, '2026-01-02 03:04:05+00')";

/// The rows that come and go all the time, of both tables, and some of those that differ.
fn load(r: &Replication) -> Load {
    r.load(
        2,
        Duration::from_millis(3),
        &(Arc::new(|_: &mut rand::rngs::StdRng, n: u64| {
            format!(
                "insert into heap values (7, 'blinks', 0), (5, 'x', 5 % 3 / 7.0);
                 delete from heap where ctid = any (array(select ctid from heap where b = 'blinks' limit 1));
                 begin; delete from heap where a = 8; insert into heap select 8, 'y', {n} from generate_series(1, 3);
                 delete from heap where ctid = any (array(select ctid from heap where a = 5 limit 1)); commit;
                 update t set v = 'n{n}' where id = {n} % 2000 + 1",
            )
        }) as tests::Writes),
    )
}

fn differing(stdout: &str) -> u32 {
    let number = |line: &str| {
        line.split(" rows, ")
            .nth(1)?
            .split(" differ")
            .next()?
            .parse::<u32>()
            .ok()
    };
    stdout.lines().filter_map(number).sum()
}

/// Whether somebody waits for this lock of the table `flags` on the subscriber.
fn waits(r: &Replication, mode: &str) -> bool {
    let sql = "select count(*) from pg_locks where not granted and relation = 'flags'::regclass and mode =";
    r.on_subscriber(&format!("{sql} '{mode}'")) != "0"
}

#[test]
fn rows_without_a_key_are_counted_and_repaired_exactly_while_they_come_and_go_and_kills_double_nothing()
 {
    let r = Replication::builder().make();
    r.on_provider(TABLES);
    r.copy_schema();
    r.start();
    r.replay
        .run(&["add", "heap", "flags", "--identity", "full"])
        .ok();
    r.replay
        .run(&["add", "log", "--identity", "insert-only"])
        .ok();
    r.replay.run(&["add", "t"]).ok();
    r.wait_ok();
    let both = ["heap", "flags"];
    let compare = |args: &[&str]| r.replay.run(&[&["compare"], args].concat());
    compare(&both).ok();

    // The statements that are printed do it, where nothing is written.
    r.on_subscriber(PLANTED);
    let printed = r.replay.run(&["repair", "heap", "flags"]).code(1).stdout;
    assert!(
        printed.contains("-- public.flags on the subscriber: 1 rows differ"),
        "{printed}"
    );
    assert_eq!(printed.matches(" limit ").count(), 3, "{printed}");
    let file = r.scratch.file("repair.sql", &printed);
    r.subscribers[0].psql_file(r.db(), &file).ok();
    compare(&both).ok();

    // Rows that come and go are no difference, and hide none.
    r.on_subscriber(PLANTED);
    let planted = differing(&compare(&both).code(1).stdout);
    assert_eq!(planted, 10);
    let writers = load(&r);
    for _ in 0..3 {
        let found = compare(&both).code(1).stdout;
        assert_eq!(differing(&found), planted, "{found}");
    }
    let repaired = r
        .replay
        .run(&["repair", "heap", "flags", "--apply"])
        .ok()
        .stdout;
    assert!(
        repaired.contains("public.flags: 1 rows repaired"),
        "{repaired}"
    );
    assert!(
        repaired.contains(&format!("public.heap: {} rows repaired", planted - 1)),
        "{repaired}"
    );
    writers.wait_for_more(50);
    compare(&both).ok();

    // A kill of the command leaves all of a table's repair or nothing, and a repair after it doubles nothing.
    let rounds = if tests::full() { 30 } else { 3 };
    for round in 0..rounds {
        r.on_subscriber(PLANTED);
        r.on_subscriber("update t set v = 'w' where id % 7 = 0; delete from t where id % 11 = 0");
        let mut running = r
            .replay
            .command(&["-q", "repair", "heap", "t", "--apply"])
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(60 * round % 400 + 40));
        if round % 2 == 0 {
            running.kill().unwrap();
        } else {
            r.replay.kill9();
            r.replay.run(&["start", "-d"]).ok();
        }
        running.wait().unwrap();
        // A row that is written meanwhile is right again by itself.
        let found = compare(&["heap", "--timeout", "120"]);
        // A comparison that has failed says nothing, which is not that nothing differs.
        let found = match differing(&found.stdout) {
            0 => found.ok(),
            _ => found.code(1),
        };
        let number = differing(&found.stdout);
        assert!([0, planted - 1].contains(&number), "{found:?}");
        wait_until(
            "the daemon to have done what was asked for",
            Duration::from_secs(120),
            || {
                r.on_subscriber("select count(*) from trunkline.repair_key") == "0"
                    && r.state("public.t") == "ok"
            },
        );
        r.replay
            .run(&["-q", "repair", "heap", "flags", "t", "--apply"])
            .ok();
    }
    let totals = writers.stop();
    assert!(totals.errors.is_empty(), "{totals:?}");
    r.sync();
    for table in ["public.heap", "public.flags", "public.t"] {
        same((&r.provider, r.db()), (&r.subscribers[0], r.db()), table);
    }

    // Somebody who writes the table for long is waited for, and then nothing was done.
    r.on_subscriber("insert into flags values (null, null)");
    let held = Session::holding(
        &r.subscribers[0],
        r.db(),
        "lock table flags in row exclusive mode",
    );
    let late = r
        .replay
        .run(&["repair", "flags", "--apply", "--timeout", "1"])
        .code(4);
    late.says(&["1 rows are not repaired"]);
    drop(held);
    r.replay.run(&["repair", "flags", "--apply"]).ok();

    // Rows are counted again under the lock. What a repair, or a person, has put in meanwhile is not put in twice.
    let begun = |planted: &str, sql: &str| {
        r.on_subscriber(planted);
        let held = Session::holding(&r.subscribers[0], r.db(), sql);
        let command = r
            .replay
            .command(&["-q", "repair", "flags", "--apply"])
            .spawn();
        wait_until("the repair to wait", Duration::from_secs(60), || {
            waits(&r, "ShareRowExclusiveLock")
        });
        (held, command.unwrap())
    };
    let (held, mut running) = begun(
        "delete from flags where ctid = (select min(ctid) from flags)",
        "lock table flags in row exclusive mode",
    );
    held.ask("insert into flags select * from flags limit 1; commit");
    assert_eq!(running.wait().unwrap().code(), Some(0));
    compare(&["flags"]).ok();
    assert_eq!(r.on_subscriber("select count(*) from flags"), "3");

    // What was counted does not outlive a TRUNCATE that replay applies before the repair has its lock.
    let (held, mut running) = begun(
        "delete from flags where ctid = (select min(ctid) from flags)",
        "lock table flags in row exclusive mode",
    );
    r.on_provider("truncate flags");
    wait_until("replay to wait", Duration::from_secs(60), || {
        waits(&r, "AccessExclusiveLock")
    });
    drop(held);
    assert_eq!(running.wait().unwrap().code(), Some(0));
    r.sync();
    assert_eq!(r.on_subscriber("select count(*) from flags"), "0");

    // A kill in the middle of the writes leaves nothing.
    r.on_subscriber(
        "create function wait() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(77);
         return new; end $$; create trigger wait before delete on flags for each row execute function wait();
         alter table flags enable always trigger wait; alter function wait() owner to postgres",
    );
    let (held, mut running) = {
        r.on_subscriber("insert into flags values (null, null), (false, null)");
        let held = Session::holding(
            &r.subscribers[0],
            r.db(),
            "select pg_advisory_xact_lock(77)",
        );
        let command = r
            .replay
            .command(&["-q", "repair", "flags", "--apply"])
            .spawn();
        wait_until("the repair to write", Duration::from_secs(60), || {
            r.on_subscriber(
                "select count(*) from pg_locks where locktype = 'advisory' and not granted",
            ) == "1"
        });
        (held, command.unwrap())
    };
    running.kill().unwrap();
    running.wait().unwrap();
    drop(held);
    wait_until("the session to end", Duration::from_secs(60), || {
        r.on_subscriber(
            "select count(*) from pg_locks where relation = 'flags'::regclass and mode ~ 'RowExcl'",
        ) == "0"
    });
    assert_eq!(r.on_subscriber("select count(*) from flags"), "2");
    r.on_subscriber("drop trigger wait on flags");
    r.replay.run(&["repair", "flags", "--apply"]).ok();
    assert_eq!(r.on_subscriber("select count(*) from flags"), "0");

    // Numbers that no event tells are not believed.
    r.on_subscriber("delete from log");
    r.replay
        .run(&["repair", "log", "--apply"])
        .code(3)
        .says(&["its identity is not full"]);
    r.on_subscriber("alter table flags alter f type text; insert into flags values ('z', null)");
    r.replay
        .run(&["repair", "flags", "--apply"])
        .code(3)
        .says(&["columns of other types"]);
}
