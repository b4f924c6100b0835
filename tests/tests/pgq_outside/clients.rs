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
    // Rotation takes back what is consumed, while more comes, and loses nothing. It keeps the table before the current one.
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
        stage.unregister("plain", name);
    }
    assert_eq!(
        stage.sql("select count(*) from pgq.get_consumer_info()"),
        "0"
    );
    assert_eq!(stage.sql("select count(*) from pgq.retry_queue"), "0");
    assert_quiet("pgqd", &pgqd.log());
    pgqd.interrupt();
}
