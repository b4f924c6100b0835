//! What a tick does not show: over ticks that are missing, rotation, transactions that are open and that are rolled
//! back.

use tests::{Replication, Session};

/// What the provider says of the events after a tick: known, seconds since the oldest, number.
fn unapplied(replication: &Replication, tick: &str) -> (bool, Option<f64>, i64) {
    let row = replication.on_provider(&format!(
        "select is_known, extract(epoch from clock_timestamp() - oldest), events from trunkline.unapplied('q1', {tick})"
    ));
    let fields: Vec<&str> = row.split('|').collect();
    (
        fields[0] == "t",
        fields[1].parse().ok(),
        fields[2].parse().unwrap(),
    )
}

#[test]
fn h1_the_oldest_event_that_a_tick_does_not_show_is_found_wherever_it_is() {
    let replication = Replication::builder().make();
    replication.ticker.run(&["install"]).ok();
    let tick = || {
        replication.on_provider("select pgq.force_tick('q1')");
        replication.on_provider("select pgq.ticker('q1')");
        replication.on_provider("select max(tick_id) from pgq.tick")
    };
    let event = "select pgq.insert_event('q1', 'x', 'y')";
    tick();
    let first = tick();
    assert_eq!(unapplied(&replication, &first), (true, None, 0));
    assert_eq!(unapplied(&replication, "999999"), (false, None, 0));

    // Not ticked, and not committed: only what can be applied counts.
    let open = Session::holding(&replication.provider, replication.db(), event);
    assert_eq!(unapplied(&replication, &first), (true, None, 0));
    replication.on_provider(event);
    let (known, age, events) = unapplied(&replication, &first);
    assert!(
        known && age.is_some_and(|age| age < 60.0) && events == 2,
        "{age:?} {events}"
    );

    // Shown by the next tick, but for the one that is open; that one counts from when it is committed.
    let second = tick();
    assert_eq!(unapplied(&replication, &second).1, None);
    assert!(unapplied(&replication, &first).1.is_some());
    replication.on_provider("update pgq.event_1 set ev_time = ev_time - interval '1 hour'");
    open.ask("commit");
    let (_, age, events) = unapplied(&replication, &second);
    assert!(
        age.is_some_and(|age| age < 60.0) && events == 1,
        "{age:?} {events}"
    );
    // An event that its writer says to be old counts from the tick on that does not show it.
    replication.on_provider("update pgq.tick set tick_time = tick_time - interval '10 minutes'");
    let (_, age, _) = unapplied(&replication, &first);
    assert!(
        age.is_some_and(|age| (600.0..700.0).contains(&age)),
        "{age:?}"
    );

    // Rolled back: numbers were taken, and nothing waits.
    let third = tick();
    replication.on_provider(&format!("begin; {event}; rollback"));
    assert_eq!(unapplied(&replication, &third), (true, None, 0));

    // In the table that rotation has left, written by a transaction that was open all the while.
    let old = Session::holding(
        &replication.provider,
        replication.db(),
        &format!("set transaction isolation level repeatable read; select 1; {event}"),
    );
    replication.on_provider("update pgq.queue set queue_switch_time = now() - interval '1 day'");
    replication.on_provider("select pgq.maint_rotate_tables_step1('q1')");
    replication.on_provider("select pgq.maint_rotate_tables_step2()");
    let fourth = tick();
    assert_eq!(unapplied(&replication, &fourth).1, None);
    old.ask(&format!("{event}; commit"));
    let (_, age, events) = unapplied(&replication, &fourth);
    assert!(age.is_some() && events >= 1, "{age:?} {events}");
}
