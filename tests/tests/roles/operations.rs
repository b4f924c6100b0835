//! was given up.

use tests::Session;

use crate::meeting::Castor;
use crate::sqlstate;

/// A call that begins operation `id`, of which this node is the old provider, or the new one.
fn begin(id: u32, is_old: bool) -> String {
    let own = "(select node_id from trunkline.node)";
    let (old, new) = if is_old { (own, "7") } else { ("7", own) };
    format!(
        "trunkline.begin_operation('q1', {id}, 'switchover', {old}, 'castor', {new}, 'pollux', false)"
    )
}

impl Castor {
    /// The result of a call, in a database that may be read-only.
    #[track_caller]
    fn call(&self, call: &str) -> String {
        self.on(&format!("begin read write; select {call}; commit"))
    }

    /// The SQLSTATE of a call.
    fn state(&self, call: &str) -> String {
        sqlstate(
            &self.cluster,
            "db1",
            &format!("begin read write; select {call}; commit"),
        )
    }

    fn steps(&self) -> String {
        self.on(
            "select string_agg(concat_ws(' ', operation_id, step, running, error), ',' order by operation_id) \
               from trunkline.operations('q1')",
        )
    }
}

fn one_at_a_time_and_never_back(version: u32) {
    let castor = Castor::make(version);
    assert_eq!(castor.state(&begin(1, true)), "55000", "a plain database");
    castor.call("trunkline.begin_set('q1')");
    assert_eq!(castor.state(&begin(1, false)), "55000", "no standby");
    let strangers = "trunkline.begin_operation('q1', 1, 'switchover', 7, null, 8, null, false)";
    assert_eq!(castor.state(strangers), "55000");
    assert_eq!(castor.call(&begin(1, true)), "t");
    assert_eq!(castor.call(&begin(1, true)), "f", "the same again");
    let second = format!("select {}", begin(2, true));
    castor.cluster.try_psql("db1", &second).says(&[
        "another operation of queue 'q1' runs: switchover from castor to pollux, step prepare",
        "trunkline switchover q1 --resume, or --abort",
    ]);
    assert_eq!(castor.state(&begin(2, true)), "55006");

    let step = |word: &str| format!("trunkline.step_operation('q1', 1, '{word}')");
    assert_eq!(castor.call(&step("fence")), "fence");
    assert_eq!(castor.call(&step("prepare")), "fence", "never back");
    for wrong in ["promoted", "done", "aborted", "other"] {
        assert_eq!(castor.state(&step(wrong)), "22023", "{wrong}");
    }
    castor.call("(trunkline.fence('q1')).tick_id");
    let last = "trunkline.step_operation('q1', 1, 'catch-up', 5, 6, 7)";
    assert_eq!(castor.call(last), "catch-up");
    assert_eq!(castor.call(&step("promote")), "promote");
    let kept = "select concat_ws(' ', final_epoch, final_tick_id, final_tick_tag) from trunkline.operations()";
    assert_eq!(castor.on(kept), "5 6 7");

    // Who holds the row is waited for, and nothing passes afterwards.
    let abort = "trunkline.abort_operation('q1', 1, 'no time')";
    let hold = "trunkline.hold_operation('q1', 1)";
    let holder = Session::new(&castor.cluster, "db1");
    holder.ask(&format!("begin read write; select {hold}"));
    let hasty = format!("set_config('lock_timeout', '100ms', true), {abort}");
    assert_eq!(castor.state(&hasty), "55P03");
    holder.ask("commit");
    assert_eq!(castor.call(abort), "t");
    assert_eq!(castor.call(abort), "t", "again");
    for late in [
        hold,
        &step("promote"),
        "trunkline.end_operation('q1', 1)",
        &begin(1, true),
    ] {
        assert_eq!(castor.state(late), "55000", "{late}");
    }
    assert_eq!(castor.state("trunkline.hold_operation('q1', 9)"), "55000");
    assert_eq!(castor.call("trunkline.abort_operation('q1', 9)"), "t");
    castor.call("(trunkline.unfence('q1')).done");

    // The old provider's side of one that is done.
    castor.call(&begin(2, true));
    let end = "trunkline.end_operation('q1', 2)";
    assert_eq!(castor.state(end), "55000", "too early");
    castor.call("trunkline.step_operation('q1', 2, 'follow')");
    assert_eq!(castor.call("trunkline.abort_operation('q1', 2)"), "f");
    assert_eq!(castor.call(end), "t");
    assert_eq!(castor.call(end), "f");
    assert_eq!(castor.call("trunkline.abort_operation('q1', 2)"), "f");
    assert_eq!(castor.steps(), "1 aborted f no time,2 done f");
    let told = "select string_agg(concat_ws(' ', event, ok, details, other_node), ',' order by event_id) from trunkline.event \
        where event like 'switchover%'";
    assert_eq!(
        castor.on(told),
        "switchover_started t switchover from castor to pollux 7,switchover_aborted f no time 7,\
         switchover_started t switchover from castor to pollux 7"
    );
    // A queue that is dropped takes them along.
    castor.on("select trunkline.remove_table('q1', 'c', 'public', 't')");
    castor.call("pgq.drop_queue('q1', true)");
    assert_eq!(castor.on("select count(*) from trunkline.operation"), "0");
}

#[test]
fn postgresql_10_has_one_operation_at_a_time() {
    one_at_a_time_and_never_back(10);
}

#[test]
fn postgresql_15_has_one_operation_at_a_time() {
    one_at_a_time_and_never_back(15);
}

#[test]
fn postgresql_18_has_one_operation_at_a_time() {
    one_at_a_time_and_never_back(18);
}

#[test]
fn the_new_provider_goes_on_only_once_it_is_promoted_and_is_not_given_up_then() {
    let castor = Castor::make(15);
    castor.call("trunkline.begin_set('q1')");
    // As replay install makes it of a subscriber.
    castor.on("update trunkline.role set role = 'standby'");
    assert_eq!(castor.state(&begin(1, true)), "55000", "no provider");
    assert_eq!(castor.call(&begin(1, false)), "t");
    castor.call("trunkline.step_operation('q1', 1, 'promote')");
    for step in ["open", "follow"] {
        let call = format!("trunkline.step_operation('q1', 1, '{step}')");
        assert_eq!(castor.state(&call), "55000", "{step}");
    }
    castor.on("update trunkline.operation set step = 'promoted'");
    assert_eq!(castor.call("trunkline.abort_operation('q1', 1)"), "f");
    assert_eq!(
        castor.call("trunkline.step_operation('q1', 1, 'promote')"),
        "promoted"
    );
    castor.call("trunkline.hold_operation('q1', 1)");
    castor.call("trunkline.step_operation('q1', 1, 'open')");
    assert_eq!(castor.call("trunkline.abort_operation('q1', 1)"), "f");
    castor.call("trunkline.end_operation('q1', 1)");
    assert_eq!(castor.steps(), "1 done f");
}

#[test]
fn a_fence_of_a_running_operation_is_taken_away_by_its_abort_or_by_force() {
    let castor = Castor::make(15);
    castor.call("trunkline.begin_set('q1')");
    castor.call(&begin(1, true));
    castor.operator.run(&["fence", "q1"]).ok();
    castor.operator.run(&["unfence", "q1"]).code(3).says(&[
        "a switchover to node pollux runs, step prepare",
        "trunkline switchover q1 --abort",
        "--force",
    ]);
    assert_eq!(
        sqlstate(
            &castor.cluster,
            "db1",
            "begin read write; insert into t values (1)"
        ),
        "25006"
    );
    castor.operator.run(&["unfence", "q1", "--force"]).ok();
    assert_eq!(
        castor.steps(),
        "1 aborted f the old provider was unfenced by force"
    );
    castor.on("insert into t values (1)");
    assert_eq!(castor.state("trunkline.hold_operation('q1', 1)"), "55000");
}

#[test]
fn operations_are_for_who_may_fence() {
    let castor = Castor::make(15);
    castor.call("trunkline.begin_set('q1')");
    castor.on("create role weak login; grant pgq_admin to weak; grant pgq_reader to weak");
    for call in [
        begin(1, true).as_str(),
        "trunkline.hold_operation('q1', 1)",
        "trunkline.step_operation('q1', 1, 'fence')",
        "trunkline.abort_operation('q1', 1)",
        "trunkline.end_operation('q1', 1)",
        "trunkline.fence_obstacles('q1')",
        "trunkline.set_size('q1')",
    ] {
        let call = call.replace("(select node_id from trunkline.node)", "1");
        let sql = format!("set session authorization weak; select {call}");
        assert_eq!(sqlstate(&castor.cluster, "db1", &sql), "42501", "{call}");
    }
    let table = "set session authorization weak; select * from trunkline.operation";
    assert_eq!(sqlstate(&castor.cluster, "db1", table), "42501");
    let told = "set session authorization weak; select count(*) from trunkline.operations()";
    assert_eq!(castor.on(told), "0");
}
