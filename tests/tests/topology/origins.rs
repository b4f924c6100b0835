//! A tick says which tick of the upstream it contains, and a position keeps that.

use std::{sync::Arc, time::Duration};

use tests::{Cluster, Load, Server, Writes};

use crate::link::{Chain, DB};

/// How many lines with the mark the queue's events hold that this tick shows.
fn shown(chain: &Chain, node: usize, tick: &str) -> String {
    chain.on(
        node,
        &format!(
            "select coalesce(sum((length(ev_data) - length(replace(ev_data, 'mark', ''))) / 4), 0) \
               from pgq.event_1 e, pgq.tick t \
              where t.tick_id = {tick} and txid_visible_in_snapshot(e.ev_txid, t.tick_snapshot) \
                and e.ev_extra1 = 'public.t'"
        ),
    )
}

#[test]
fn a_tick_shows_just_the_rows_of_the_upstream_tick_that_it_names() {
    let server = Server::debian15();
    let chain = Chain::make((0..3).map(|_| Cluster::builder(&server)).collect(), false);
    chain.start("create table t (id bigserial primary key, v text)");
    chain.add_all();
    let writes: Writes = Arc::new(|_, _| "insert into t (v) values ('mark')".into());
    // With a pause, so that what is to be passed on stays small where the wait for ticks takes long.
    let pause = Duration::from_millis(10);
    let load = Load::start(&chain.nodes[0], DB, 3, pause, &writes);
    load.wait_for_more(1000);
    // A fast machine may do that in a few ticks.
    let naming = "select count(*) from pgq.tick where tick_origins is not null";
    tests::wait_until("ticks that name one of the upstream", crate::SOON, || {
        chain.on(1, naming).parse::<u32>().unwrap() > 40
    });
    assert_eq!(load.stop().errors, Vec::<String>::new());
    chain.sync();
    let mut seen = 0;
    let ticks = chain.on(
        1,
        "select t.tick_id, t.tick_origins -> 0 ->> 1, t.tick_origins -> 0 ->> 2, jsonb_array_length(t.tick_origins) \
           from pgq.tick t where t.tick_origins is not null order by 1",
    );
    for line in ticks.lines() {
        let words: Vec<&str> = line.split('|').collect();
        let [here, above, tag, "1"] = words[..] else {
            panic!("{line}")
        };
        // The first node's queue may have given an early tick away.
        let known = chain.on(
            0,
            &format!("select tick_tag from pgq.tick where tick_id = {above}"),
        );
        if !known.is_empty() {
            assert_eq!(known, tag, "tick {here}");
            let rows = (shown(&chain, 1, here), shown(&chain, 0, above));
            assert_eq!(rows.0, rows.1, "tick {here} names {above}");
            seen += 1;
        }
    }
    println!("{seen} ticks");
    assert!(seen > 20, "only {seen} ticks name one of the upstream");
    // A position keeps what the tick says, and the nodes above.
    let place =
        |node, what: &str| chain.on(node, &format!("select {what} from trunkline.position"));
    assert_eq!(place(1, "origins is null"), "t");
    let of_tick = format!(
        "select tick_origins from pgq.tick where tick_id = {}",
        place(2, "tick_id")
    );
    assert_eq!(place(2, "origins"), chain.on(1, &of_tick));
    let nodes: Vec<String> = (0..3)
        .map(|node| chain.on(node, "select node_id from trunkline.node"))
        .collect();
    assert_eq!(place(1, "path"), format!("{{{}}}", nodes[0]));
    assert_eq!(place(2, "path"), format!("{{{},{}}}", nodes[1], nodes[0]));
}

#[test]
fn a_tick_names_no_other_while_a_table_is_not_in_step() {
    let server = Server::debian15();
    let chain = Chain::make((0..3).map(|_| Cluster::builder(&server)).collect(), false);
    chain.start("create table t (id int primary key, v text); create table u (id int primary key, v text check (v <> 'bad'))");
    chain.on(0, "alter table u drop constraint u_v_check");
    chain.add_all();
    let named = || {
        let before = chain.on(1, "select max(tick_id) from pgq.tick");
        let row = chain.on(
            0,
            "insert into t select coalesce(max(id), 0) + 1, 'x' from t returning id",
        );
        tests::wait_until("the row to reach the third node", crate::SOON, || {
            chain.on(2, &format!("select count(*) from t where id = {row}")) == "1"
        });
        chain.on(
            1,
            &format!("select tick_origins is not null from pgq.tick where tick_id > {before} order by tick_id desc limit 1"),
        )
    };
    let wait_named = || {
        tests::wait_until("a tick that names one", crate::SOON, || named() == "t");
    };
    wait_named();
    chain.on(0, "insert into u values (1, 'bad')");
    tests::wait_until("the table to be parked", crate::SOON, || {
        chain.on(
            1,
            "select count(*) from trunkline.table_state where state = 'parked'",
        ) == "1"
    });
    assert_eq!(named(), "f");
    chain.on(0, "update u set v = 'good'");
    chain.on(1, "alter table u drop constraint u_v_check");
    chain.links[0].wait_ok();
    wait_named();
}
