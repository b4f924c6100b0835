//! Scripts of DDL that `replay execute` runs: once on each side, in order with the changes, whatever is killed (DD-10).

use std::{path::PathBuf, time::Duration};

use tests::{Cluster, Daemons, Node, Output, Replication, Server, Session, wait_until};

pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A replication that allows scripts.
fn replicating(sql: &str) -> Replication {
    Replication::builder()
        .replay_line("allow_execute = true")
        .running(sql)
}

fn file(replication: &Replication, name: &str, sql: &str) -> PathBuf {
    replication.scratch.file(&format!("scripts/{name}"), sql)
}

/// Runs `replay execute` with a script of this name and text.
pub(crate) fn execute(
    replication: &Replication,
    name: &str,
    sql: &str,
    options: &[&str],
) -> Output {
    let path = file(replication, name, sql);
    let mut args = vec!["execute", path.to_str().unwrap()];
    args.extend(options);
    replication.replay.run(&args)
}

fn state_of(replication: &Replication, script: &str) -> String {
    let sql = format!("select state from trunkline.script where script_id = '{script}'");
    replication.on_subscriber(&sql)
}

pub(crate) fn wait_state(replication: &Replication, script: &str, state: &str) {
    wait_until(&format!("{script} to be {state}"), SOON, || {
        state_of(replication, script) == state
    });
}

#[test]
fn dd10_a_script_is_executed_once_on_each_side_between_the_changes_around_it() {
    let replication = replicating(
        "create table t (id int primary key, v text, gone int); create table u (id int primary key)",
    );
    replication.replay.run(&["stop"]).ok();
    // All of this waits, and would come as one batch.
    replication.on_provider("insert into t select g, 'old', g from generate_series(1, 300) g");
    let script = "-- Two columns.\nset local search_path = public;\n\
        alter table t add column w int default 7; alter table t drop column gone;\n\
        do $$ begin alter table t rename v to name; end $$;\n\
        create table public.made (id serial primary key, t int references t);";
    let done = execute(&replication, "001.sql", script, &[]).ok();
    assert!(
        done.stdout.contains("it touches public.t"),
        "{}",
        done.stdout
    );
    replication.on_provider("insert into u values (1)");
    replication.on_provider(
        "update t set w = -id, name = 'new' where id % 2 = 0; insert into t values (301, 'x', 1)",
    );
    let again = execute(&replication, "001.sql", script, &[]).code(3);
    let again = again.says(&["001.sql", "was executed already", "the same text", "--id"]);
    assert!(
        again.stderr.contains("It is done since"),
        "{}",
        again.stderr
    );
    // A second one that depends on the first, of another name.
    let rename = "alter table public.t rename to t2; alter table public.t2 alter w type bigint;";
    execute(&replication, "002.sql", rename, &["--id", "rename t"]).ok();
    replication
        .on_provider("update t2 set w = 5000000000 where id = 1; delete from t2 where id = 3");
    replication.replay.run(&["start", "-d"]).ok();
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
    // Each of the two is recorded once on each side.
    let recorded =
        "select string_agg(script_id || ' ' || state, ',' order by number) from trunkline.script";
    assert_eq!(
        replication.on_subscriber(recorded),
        "001.sql done,rename t done"
    );
    assert_eq!(
        replication.on_provider(recorded),
        "001.sql done,rename t done"
    );
    let listed = replication
        .replay
        .run(&["execute", "--list", "--json"])
        .ok()
        .stdout;
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let at: Vec<&str> = listed
        .iter()
        .map(|one| one["at"].as_str().unwrap())
        .collect();
    assert_eq!(at, ["provider", "provider", "subscriber", "subscriber"]);

    // With --add what a script makes is added, and the command waits for the subscriber.
    let makes =
        "create table public.later (id serial primary key, v text); create sequence public.alone;";
    execute(&replication, "003.sql", makes, &["--add"]).ok();
    replication.on_provider("insert into later (v) values ('a'), ('b'); select nextval('alone')");
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    let sequences = replication.replay.run(&["seqs"]).ok().stdout;
    assert!(
        sequences.contains("public.alone") && sequences.contains("public.later_id_seq"),
        "{sequences}"
    );
    // The same command again finds all done.
    execute(&replication, "003.sql", makes, &["--add"]).says(&[]);
    // On one side alone: the provider's catalog has no function, and then no script is told of.
    let function = "create function public.f() returns int language sql return 1;";
    execute(
        &replication,
        "004.sql",
        function,
        &["--subscribers-only", "--wait", "60"],
    )
    .ok();
    assert_eq!(
        replication.on_provider("select to_regproc('public.f') is null"),
        "t"
    );
    execute(&replication, "005.sql", function, &["--provider-only"]).ok();
    assert_eq!(replication.on_provider("select public.f()"), "1");
    replication.sync();
    assert_eq!(state_of(&replication, "005.sql"), "");
    replication.assert_clean(&[]);
}

#[test]
fn a_script_that_the_provider_refuses_or_that_is_no_script_changes_nothing() {
    let replication =
        replicating("create table t (id int primary key, v text); insert into t values (1, 'a')");
    let catalog = "select count(*) from pg_attribute where attrelid = 't'::regclass";
    let before = (
        replication.on_provider("select count(*) from pgq.event_1"),
        replication.on_provider(catalog),
    );
    for (sql, code, words) in [
        (
            "alter table public.t add w int; select 1/0",
            3,
            vec!["line 1", "division by zero", "nothing was executed"],
        ),
        (
            "alter table t add w int",
            3,
            vec!["does not exist", "public.t", "search_path"],
        ),
        (
            "alter table public.t add w int; insert into public.t values (2)",
            3,
            vec!["writes rows of public.t", "before or after the script"],
        ),
        (
            "alter table public.t add w int; truncate public.t",
            3,
            vec!["writes rows of public.t"],
        ),
        (
            "alter table public.t add w int;\ncommit",
            2,
            vec!["line 2: COMMIT", "leave it out"],
        ),
        (
            "create index concurrently i on public.t (v)",
            2,
            vec!["CREATE INDEX CONCURRENTLY cannot run in a transaction"],
        ),
        (
            "--*-- Local-Tabel: t\nselect 1",
            2,
            vec!["Local-Tabel is no attribute", "Local-Table"],
        ),
        ("-- nothing", 2, vec!["has no statement"]),
        ("select 'abc", 2, vec!["a string has no end"]),
    ] {
        execute(&replication, "bad.sql", sql, &[])
            .code(code)
            .says(&words);
    }
    let after = (
        replication.on_provider("select count(*) from pgq.event_1"),
        replication.on_provider(catalog),
    );
    assert_eq!(before, after);
    assert_eq!(
        replication.on_provider("select count(*) from trunkline.script"),
        "0"
    );
    // A lock of somebody's is waited for as long as is said, and no longer.
    let holder = Session::holding(
        &replication.provider,
        replication.db(),
        "lock table t in access share mode",
    );
    execute(
        &replication,
        "bad.sql",
        "alter table public.t add w int",
        &["--lock-timeout", "0.2"],
    )
    .code(3)
    .says(&["lock timeout", "--lock-timeout"]);
    drop(holder);
    // Neither may everybody say what subscribers run, nor is an event believed that nobody has recorded.
    let refused = replication.provider.try_psql(
        replication.db(),
        "create role admin login; grant pgq_admin to admin; set role admin; \
         select trunkline.begin_script('q1', 'x', 'y')",
    );
    refused.says(&["permission denied for function begin_script"]);
    replication.on_provider(
        "insert into pgq.event_1_0 (ev_id, ev_time, ev_txid, ev_type, ev_data) \
         select nextval('pgq.event_1_id_seq'), now(), txid_current(), 'trunkline.1.script', \
                jsonb_build_object('id', 'forged', 'sql', s, 'tables', '[]'::jsonb, 'tick', null, \
                                   'digest', encode(sha256(s::bytea), 'hex'))::text \
           from (values ('create table public.hacked ()')) v (s)",
    );
    replication.wait_log("the provider has not recorded it");
    assert_eq!(
        replication.on_subscriber("select to_regclass('public.hacked') is null"),
        "t"
    );
}

#[test]
fn the_attributes_of_a_script_say_where_it_is_executed() {
    let replication =
        replicating("create table t (id int primary key); create view seen as select id from t");
    replication.on_provider("create table elsewhere (id int)");
    replication.on_subscriber("create function public.g(a int) returns int language sql return 1");
    for (name, attributes, state) in [
        (
            "1",
            "Local-Table: t\n--*-- Local-Destination: public.t",
            "done",
        ),
        ("2", "Local-Table: t, elsewhere", "ignored"),
        ("3", "Need-Table: elsewhere", "ignored"),
        (
            "4",
            "Need-Function: g(1)\n--*-- Need-View: seen\n--*-- Need-Schema: public",
            "done",
        ),
        ("5", "Need-Function: g(2)", "ignored"),
        ("6", "Need-Sequence: public.s", "ignored"),
        ("7", "Local-Sequence: public.s", "ignored"),
    ] {
        let sql = format!("--*-- {attributes}\ncreate table public.made{name} (id int)");
        execute(&replication, name, &sql, &["--wait", "60"]).ok();
        assert_eq!(state_of(&replication, name), state, "{attributes}");
        let made = replication.on_subscriber(&format!(
            "select to_regclass('public.made{name}') is not null"
        ));
        assert_eq!(made == "t", state == "done", "{attributes}");
    }
    replication.assert_clean(&[]);
}

#[test]
fn dd10_kills_of_the_command_the_daemon_and_both_servers_neither_lose_nor_repeat_a_script() {
    let server = Server::debian15();
    let replication = Replication::builder()
        .provider(Cluster::builder(&server).durable())
        .subscribers(vec![Cluster::builder(&server).durable()])
        .replay_line("allow_execute = true")
        .running("create table t (id bigserial primary key, v int)");
    // Run twice, a script would leave two rows: no key keeps them apart.
    replication.on_subscriber("create table mine (n int)");
    replication.on_provider("create table mine (n int)");
    let rounds = if tests::full() { 40 } else { 9 };
    for round in 0..rounds {
        let column = format!("c{round}");
        let sql = format!(
            "insert into public.mine values ({round}); alter table public.t add column {column} int default {round}; \
             select pg_sleep(0.05)"
        );
        let path = file(&replication, &format!("{round}.sql"), &sql);
        let mut command = replication
            .replay
            .command(&["execute", path.to_str().unwrap()]);
        let mut running = command.spawn().unwrap();
        replication
            .provider
            .try_psql(replication.db(), "insert into t (v) values (1)");
        std::thread::sleep(Duration::from_millis(20 + 23 * round % 300));
        match round % 4 {
            0 => running.kill().unwrap(),
            1 => {
                running.wait().unwrap();
                replication.replay.kill9();
            }
            2 => {
                replication.provider.kill9();
                replication.provider.start_again();
            }
            _ => {
                running.wait().unwrap();
                replication.subscribers[0].kill9();
                replication.subscribers[0].start_again();
            }
        }
        running.wait().unwrap();
        if replication.replay.pid().is_none() {
            replication.replay.run(&["start", "-d"]).ok();
        }
        // What was not committed is executed now; what was is refused by its name.
        let known =
            format!("select count(*) from trunkline.script where script_id = '{round}.sql'");
        wait_until("the killed command's session to end", SOON, || {
            let open = "select count(*) from pg_stat_activity \
                where query like '%pg_sleep%' and pid <> pg_backend_pid()";
            replication
                .provider
                .try_psql(replication.db(), open)
                .stdout
                .trim()
                == "0"
        });
        let was_done = replication.on_provider(&known) == "1";
        let code = if was_done { 3 } else { 0 };
        replication
            .replay
            .run(&["execute", path.to_str().unwrap()])
            .code(code);
        replication.on_provider(&format!("insert into t (v, {column}) values (2, {round})"));
    }
    replication.sync();
    replication.assert_same();
    let rows = "select count(*) || ' ' || count(distinct n) from mine";
    let all = format!("{rounds} {rounds}");
    assert_eq!(replication.on_provider(rows), all);
    assert_eq!(replication.on_subscriber(rows), all);
    let done = "select count(*) from trunkline.script where state = 'done'";
    assert_eq!(replication.on_subscriber(done), rounds.to_string());
}

#[test]
fn two_jobs_of_one_database_execute_a_script_once_and_one_goes_on_without_the_other() {
    let r = replicating("create table t (id int primary key)");
    r.everywhere("create table u (id int primary key); create table mine (n int)");
    let config = std::fs::read_to_string(&r.replay.config).unwrap();
    let config = config.replace("replay1", "replay2");
    let config = r.scratch.file("etc/replay2.toml", &config);
    let second = Node::new("replay", &r.scratch, &config, "replay2");
    let _daemons = Daemons(vec![second.clone()]);
    second.run(&["install"]).ok();
    second.run(&["start", "-d"]).ok();
    second.run(&["add", "u", "--wait"]).ok();
    let write = |round: u32| {
        let sql = format!(
            "insert into public.mine values ({round}); alter table public.t add c{round} int default {round}; \
             alter table public.u add c{round} int"
        );
        execute(&r, &round.to_string(), &sql, &["--wait", "60"]).ok();
        r.on_provider(&format!(
            "insert into t (id) values ({round}); insert into u values ({round})"
        ));
    };
    for round in 1..=3 {
        write(round);
    }
    r.sync();
    second.wait_level();
    let done = "select string_agg(script_id, ' ' order by number) from trunkline.script \
        where state = 'done' and consumer = ";
    for consumer in ["'replay1'", "'replay2'"] {
        assert_eq!(r.on_subscriber(&format!("{done}{consumer}")), "1 2 3");
    }
    let once = "select string_agg(n::text, ' ' order by n) from mine";
    assert_eq!(r.on_subscriber(once), "1 2 3");
    // The second one goes, and takes no script with it that the first one needs.
    second.run(&["stop"]).ok();
    second.run(&["uninstall"]).ok();
    write(4);
    r.sync();
    assert_eq!(r.on_subscriber(once), "1 2 3 4");
    assert_eq!(r.on_subscriber(&format!("{done}'replay1'")), "1 2 3 4");
    assert_eq!(r.on_subscriber("select count(*) from u"), "3");
    r.assert_clean(&[]);
}
