//! What replay writes is replicated on where its capture can log it, whichever of the two jobs comes first; else it is
//! refused with advice.

use tests::{Cluster, Server, wait_until};

use crate::{
    SOON,
    link::{Chain, DB, Link},
};

/// Tables on all three nodes.
const TABLES: &str = "create table t (id int primary key, v text); create table w (id int primary key, v text); \
    create table w_here (id int primary key, v text); \
    create table p (id int primary key, v text) partition by range (id); \
    create table p_1 partition of p for values from (0) to (100); create table into_part (id int primary key, v text)";

fn three() -> Vec<tests::ClusterBuilder> {
    let server = Server::debian15();
    (0..3).map(|_| Cluster::builder(&server)).collect()
}

#[test]
fn a_table_may_be_written_and_followed_under_any_name_and_in_any_order() {
    let chain = Chain::make(three(), false);
    chain.start(TABLES);
    let [upper, lower] = &chain.links[..] else {
        panic!("two jobs")
    };
    // Written first, followed second.
    upper.replay.run(&["add", "t"]).ok();
    upper.replay.run(&["add", "w", "--as", "w_here"]).ok();
    upper.wait_ok();
    lower.replay.run(&["add", "t", "w_here"]).ok();
    // Followed first, written second; a partition of what is followed is written by itself.
    lower.replay.run(&["add", "p"]).ok();
    lower.wait_ok();
    upper.replay.run(&["add", "into_part", "--as", "p_1"]).ok();
    chain.wait_ok();
    for table in ["t", "w", "into_part"] {
        chain.on(
            0,
            &format!("insert into {table} values (1, 'a'), (2, 'b'); update {table} set v = 'u' where id = 1; delete from {table} where id = 2"),
        );
    }
    chain.sync();
    for table in ["t", "w_here", "p"] {
        assert_eq!(chain.on(2, &format!("table {table}")), "1|u", "{table}");
    }
    for link in &chain.links {
        assert_eq!(link.unclean(&[]), Vec::<String>::new());
    }
}

#[test]
fn what_ordinary_sessions_of_replay_write_is_not_replicated_on() {
    let nodes: Vec<Cluster> = three()
        .into_iter()
        .map(tests::ClusterBuilder::start)
        .collect();
    for node in &nodes {
        node.create_db(DB);
        node.psql(DB, TABLES);
    }
    let upper = Link::new(1, &nodes[0], &nodes[1], "session_role = \"origin\"\n");
    let lower = Link::new(2, &nodes[1], &nodes[2], "");
    upper.start();
    upper.replay.run(&["add", "t", "--wait", "120"]).ok();
    lower.start();
    lower.replay.run(&["add", "t"]).code(3).says(&[
        "public.t",
        "is written by replication job replay1 in ordinary sessions",
        "session_role",
    ]);
    lower.replay.run(&["add", "w", "--wait", "120"]).ok();
    upper.replay.run(&["add", "w"]).code(3).says(&[
        "public.w",
        "is captured on",
        "ordinary sessions",
    ]);
    nodes[0].psql(DB, "insert into t values (1, 'a')");
    upper.sync();
    assert_eq!(nodes[1].psql(DB, "table t"), "1|a");
}

#[test]
fn a_role_that_does_not_own_the_table_cannot_have_its_triggers_fire() {
    let chain = Chain::make(three(), false);
    chain.start(TABLES);
    let asked = chain.on(
        1,
        "create role installer; create role app; alter table t owner to app; grant usage on schema trunkline to installer; \
         grant execute on all functions in schema trunkline to installer; \
         grant select on all tables in schema trunkline to installer; set role installer; \
         select reason, hint from trunkline.relay_refusal('t'::regclass, '{replay1}')",
    );
    assert_eq!(
        asked,
        "is written by replication job replay1, and only its owner may have triggers fire for that\
         |GRANT app TO installer, or install Trunkline here as a superuser."
    );
    let asked = chain.on(
        1,
        "grant app to installer; set role installer; select count(*) from trunkline.relay_refusal('t'::regclass, '{replay1}')",
    );
    assert_eq!(asked, "0");
}

#[test]
fn a_table_that_gets_the_name_of_a_written_one_is_not_written_before_its_capture_logs_that() {
    let chain = Chain::make(three(), false);
    chain.start(
        "create table t (id int primary key, v text); create table u (id int primary key, v text)",
    );
    let [upper, lower] = &chain.links[..] else {
        panic!("two jobs")
    };
    upper.replay.run(&["add", "t", "--wait", "120"]).ok();
    lower.replay.run(&["add", "u", "--wait", "120"]).ok();
    // Without the ticker nobody looks after the triggers.
    lower.ticker.run(&["stop"]).ok();
    let swapped = "begin; alter table t rename to before; alter table u rename to t; commit";
    chain.on(2, swapped);
    chain.on(1, swapped);
    chain.on(0, "insert into t values (1, 'a')");
    wait_until("the table to be parked", SOON, || {
        chain
            .on(1, "select state || error from trunkline.table_state")
            .contains("does not log yet what replay writes")
    });
    assert_eq!(chain.on(1, "select count(*) from t"), "0");
    lower.ticker.run(&["start", "-d"]).ok();
    upper.wait_ok();
    chain.sync();
    assert_eq!(chain.on(2, "table t"), "1|a");
    assert_eq!(
        chain.on(
            1,
            "select string_agg(table_name || writers::text, ' ') from trunkline.captured"
        ),
        "t{replay1}"
    );
}

#[test]
fn triggers_of_capture_are_nobodys_code_and_no_others_pass_for_them() {
    let chain = Chain::make(three(), false);
    chain.start(TABLES);
    chain.on(
        1,
        "create role app; create role rep; create table theirs (id int primary key); alter table theirs owner to app; \
         grant usage on schema trunkline to rep; grant execute on all functions in schema trunkline to rep; \
         select pgq.register_consumer('q1', 'c'); \
         select trunkline.add_table('q1', 'c', 'public', n) from unnest('{t,theirs}'::text[]) n",
    );
    chain.on(
        1,
        "do $$ declare r record; begin for r in select tgrelid::regclass as t, tgname from pg_trigger \
           where tgrelid in ('t'::regclass, 'theirs'::regclass) and not tgisinternal loop \
           execute format('alter table %s enable always trigger %I', r.t, r.tgname); end loop; end $$",
    );
    let code = |table: &str| {
        chain.on(
            1,
            &format!("set role rep; select coalesce(code, 'none') from trunkline.acting_role('public', '{table}')"),
        )
    };
    assert_eq!(code("t"), "none");
    // Capture reads this table by functions that belong to its owner.
    assert!(code("theirs").contains("trigger trunkline_insert belongs to app"));
    let are_capture = "select bool_and(trunkline.is_capture(t)) from pg_trigger t where tgrelid = 't'::regclass and not tgisinternal";
    assert_eq!(chain.on(1, are_capture), "t");
    let function = chain.on(
        1,
        "select 'trunkline.capture_' || 't'::regclass::oid || '_insert()'",
    );
    for (made, undone) in [
        (
            format!(
                "create trigger x after insert on t for each row when (new.id > 0) execute procedure {function}"
            ),
            "drop trigger x on t".to_owned(),
        ),
        (
            format!("alter function {function} owner to app"),
            format!("alter function {function} owner to postgres"),
        ),
    ] {
        chain.on(1, &made);
        assert_eq!(chain.on(1, are_capture), "f", "{made}");
        chain.on(1, &undone);
    }
}
