//! The real pgqd ticks, retries and rotates our queue; the real Python client consumes from it.

use tests::wait_until;

use crate::stage::{LIMIT, Stage};

/// Lines that a log of others shows when something is wrong.
fn assert_quiet(name: &str, log: &str) {
    let wrong = |line: &&str| {
        ["ERROR", "WARNING", "FATAL", "Traceback"]
            .iter()
            .any(|word| line.contains(word))
    };
    let lines: Vec<&str> = log.lines().filter(wrong).collect();
    assert!(lines.is_empty(), "{name}: {lines:?}");
}

/// Sorted copies of what was taken and of what was to be.
fn assert_same(name: &str, taken: Vec<String>, expected: &[String]) {
    let (mut taken, mut expected) = (taken, expected.to_vec());
    taken.sort();
    expected.sort();
    assert_eq!(taken, expected, "{name}");
}

#[test]
fn the_real_pgqd_and_python_consumers_of_every_fetch_size_lose_and_double_nothing() {
    let stage = Stage::new();
    let pgqd = stage.pgqd();
    // A cursor in steps, all at once, and steps that divide nothing evenly.
    let consumers = [("lazy", "300"), ("whole", "0"), ("sevens", "7")];
    let guests = consumers.map(|(name, fetch)| {
        (
            name,
            stage.consumer("plain", name, &format!("pgq_lazy_fetch = {fetch}")),
        )
    });
    stage.set("rotation_period", "1 second");

    let mut expected = Vec::new();
    for round in 0..15 {
        stage.sql(&format!(
            "begin; select pgq.insert_event('q', 'kept', g || '-{round}') from generate_series(1, 40) g; \
             select pgq.insert_event('q', 'again', 'again-{round}'); commit; \
             begin; select pgq.insert_event('q', 'gone', g::text) from generate_series(1, 9) g; rollback; \
             begin; savepoint a; select pgq.insert_event('q', 'gone', 'x'); rollback to a; \
             select pgq.insert_event('q', 'kept', 'after-{round}'); commit"
        ));
        expected.extend((1..=40).map(|g| format!("kept {g}-{round} None")));
        expected.push(format!("kept after-{round} None"));
        expected.push(format!("again again-{round} None"));
        // Put back by pgqd, a second later.
        expected.push(format!("again again-{round} 1"));
    }
    for (name, _) in &consumers {
        wait_until("every event and every retry", LIMIT, || {
            stage.taken(name).len() >= expected.len()
        });
    }
    // Rotation takes back what is consumed, while more comes, and loses nothing. It keeps the table before the current
    // one.
    let mut more = 0;
    wait_until("the tables to be emptied", LIMIT, || {
        more += 1;
        stage.sql(&format!(
            "select pgq.insert_event('q', 'kept', 'more-{more}')"
        ));
        expected.push(format!("kept more-{more} None"));
        stage.sql("select (select count(*) from pgq.event_1) < 200") == "t"
    });
    for (name, guest) in guests {
        wait_until("the last event", LIMIT, || {
            stage.taken(name).len() >= expected.len()
        });
        assert_same(name, stage.taken(name), &expected);
        assert_quiet(name, &guest.log());
        guest.interrupt();
        stage.unregister("plain", name, "");
    }
    assert_eq!(
        stage.sql("select count(*) from pgq.get_consumer_info()"),
        "0"
    );
    assert_eq!(stage.sql("select count(*) from pgq.retry_queue"), "0");
    assert_quiet("pgqd", &pgqd.log());
    pgqd.interrupt();
}

#[test]
fn cooperating_python_consumers_share_the_events_and_take_over_from_one_that_was_killed() {
    let stage = Stage::new();
    let pgqd = stage.pgqd();
    let member = |name: &str, more: &str| {
        format!(
            "consumer_name = team\nsubconsumer_name = {name}\nsubconsumer_timeout = 5 seconds\n{more}"
        )
    };
    let one = stage.consumer("shared", "one", &member("one", "stumble = yes"));
    let mut expected = Vec::new();
    let mut insert = |data: String| {
        stage.sql(&format!("select pgq.insert_event('q', 'kept', '{data}')"));
        expected.push(format!("kept {data} None"));
    };
    insert("first".to_owned());
    wait_until("the first event", LIMIT, || {
        stage.taken("one").contains(&"kept first None".to_owned())
    });
    insert("poison".to_owned());
    wait_until("the member to stumble", LIMIT, || {
        stage.taken("one").contains(&"stumbled".to_owned())
    });
    one.kill9();
    // Its batch is open still; the others go on with what follows, and with the batch once its member is known to be
    // dead.
    let others =
        ["two", "three"].map(|name| (name, stage.consumer("shared", name, &member(name, ""))));
    // Until both have begun, which takes a while on a busy machine.
    for number in 0.. {
        insert(format!("then-{number}"));
        let have_begun = || {
            ["two", "three"]
                .iter()
                .all(|name| !stage.taken(name).is_empty())
        };
        if number >= 60 && have_begun() {
            break;
        }
        assert!(number < 3000, "one of them does not begin");
    }
    let taken = || -> Vec<String> {
        let all = ["one", "two", "three"]
            .iter()
            .flat_map(|name| stage.taken(name));
        all.filter(|line| line != "stumbled").collect()
    };
    wait_until("every event", LIMIT, || taken().len() >= expected.len());
    assert_same("team", taken(), &expected);
    for (name, guest) in others {
        assert!(!stage.taken(name).is_empty(), "{name} had no share");
        assert_quiet(name, &guest.log());
        guest.interrupt();
    }
    assert_eq!(
        stage.sql("select pgq.unregister_consumer('q', 'team') > 0"),
        "t"
    );
    assert_eq!(stage.sql("select count(*) from pgq.subscription"), "0");
    assert_quiet("pgqd", &pgqd.log());
}

#[test]
fn python_consumers_that_write_elsewhere_are_killed_and_write_each_event_once() {
    let stage = Stage::new();
    let pgqd = stage.pgqd();
    for (kind, name) in [("serial", "onward-serial"), ("remote", "onward-remote")] {
        let target = name.replace('-', "_");
        stage.cluster.create_db(&target);
        stage.extend(&target);
        stage
            .cluster
            .psql(&target, "create table arrived (ev_id bigint, data text)");
        let lines = format!("target_db = {}", stage.cluster.conninfo(&target));
        let guest = stage.consumer(kind, name, &format!("{lines}\nstumble = yes"));
        stage.sql("select pgq.insert_event('q', 'kept', g::text) from generate_series(1, 50) g");
        wait_until("the first events", LIMIT, || {
            stage.cluster.psql(&target, "select count(*) from arrived") == "50"
        });
        stage.sql("select pgq.insert_event('q', 'kept', 'before'), pgq.insert_event('q', 'kept', 'poison'), pgq.insert_event('q', 'kept', 'after')");
        wait_until("it to stumble", LIMIT, || {
            stage.taken(name).contains(&"stumbled".to_owned())
        });
        // In the middle of a batch, with half of it written and nothing committed.
        guest.kill9();
        let guest = stage.restart(kind, name, &lines);
        stage.sql("select pgq.insert_event('q', 'kept', g::text) from generate_series(51, 100) g");
        wait_until("the rest", LIMIT, || {
            stage
                .cluster
                .psql(&target, "select count(*) >= 103 from arrived")
                == "t"
        });
        assert_eq!(
            stage.cluster.psql(
                &target,
                "select count(*), count(distinct ev_id), count(distinct data) from arrived"
            ),
            "103|103|103"
        );
        assert_quiet(name, &guest.log());
        guest.interrupt();
        stage.unregister(kind, name, &lines);
    }
    assert_quiet("pgqd", &pgqd.log());
}
