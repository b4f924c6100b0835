//! Ticker and replay as roles that are no superusers, with the grants of `etc/roles` alone
//! (SE-09), and with each of them taken away and given back (SE-10).

use std::path::Path;
use std::time::Duration;

use tests::{Replication, Session, Transfers, wait_until};

use crate::{SOON, parked};

/// A replication of both tables of [`Transfers`] and of `t`, by roles that are no superusers.
fn with_roles() -> Replication {
    let replication = Replication::builder().make();
    Transfers::create(&replication.provider, replication.db());
    replication.on_provider(
        "create table t (id int primary key, v text, n serial); insert into t select g, 'x' from generate_series(1, 500) g",
    );
    replication.copy_schema();
    by_roles(&replication);
    replication.ticker.run(&["start", "-d"]).ok();
    replication.replay.run(&["start", "-d"]).ok();
    replication.add_all();
    replication
}

/// Makes the roles with the scripts of `etc/roles`, writes them into the config files, and
/// installs both ends.
pub(crate) fn by_roles(replication: &Replication) {
    replication.ticker.run(&["install"]).ok();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/roles");
    for _ in 0..2 {
        replication
            .provider
            .psql_file(replication.db(), &scripts.join("provider.sql"))
            .ok();
        replication.subscribers[0]
            .psql_file(replication.db(), &scripts.join("subscriber.sql"))
            .ok();
    }
    for (node, role) in [
        (&replication.ticker, "trunkline_ticker"),
        (&replication.replay, "trunkline_replay"),
    ] {
        let config = std::fs::read_to_string(&node.config).unwrap();
        std::fs::write(
            &node.config,
            config.replace("user=postgres", &format!("user={role}")),
        )
        .unwrap();
        node.run(&["check-config"]).ok();
    }
    for cluster in [&replication.provider, &replication.subscribers[0]] {
        assert_eq!(
            cluster.psql(
                replication.db(),
                "select count(*) from pg_roles where rolname like 'trunkline%' and (rolsuper or rolcreaterole or rolbypassrls)"
            ),
            "0"
        );
    }
    replication.replay.run(&["install"]).ok();
}

#[test]
fn se_09_the_whole_job_is_done_by_roles_that_are_no_superusers_also_when_killed() {
    let replication = with_roles();
    replication.replay.run(&["add-seq", "--all"]).ok();
    let load = replication.load(2, Duration::from_millis(5), &Transfers::writes());
    for round in 0..3 {
        load.wait_for_more(60);
        replication.on_provider(&format!(
            "insert into t (id, v) select g, 'new' from generate_series({0} + 1, {0} + 300) g",
            1000 * (round + 1)
        ));
        replication.on_provider(
            "update t set v = v || '+' where id % 3 = 0; delete from t where id % 50 = 0",
        );
        replication.replay.kill9();
        replication.replay.run(&["start", "-d"]).ok();
        replication.ticker.kill9();
        replication.ticker.run(&["start", "-d"]).ok();
    }
    replication.on_provider("truncate t; insert into t (id, v) values (1, 'after')");
    replication
        .replay
        .run(&["resync", "checking", "--wait", "120"])
        .ok();
    replication.on_provider("select pgq.maint_rotate_tables_step1('q1')");
    let totals = load.stop();
    assert!(totals.errors.is_empty(), "{totals:?}");
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
    assert_eq!(
        replication.on_subscriber("select last_value > 500 from t_n_seq"),
        "t"
    );
    let used = "select string_agg(distinct usename, ' ') from pg_stat_activity where application_name like 'trunkline%'";
    assert_eq!(replication.on_subscriber(used), "trunkline_replay");
    wait_until("sessions of both roles", SOON, || {
        replication.on_provider(used) == "trunkline_replay trunkline_ticker"
    });
    replication.replay.run(&["remove", "t"]).ok();
    replication.assert_clean(&["subscriber waits"]);
}

#[test]
fn se_10_each_right_that_is_taken_away_stops_its_table_by_name_until_it_is_back() {
    let replication = with_roles();
    let mut id = 10_000;
    for (right, statement) in [
        ("insert on t", "insert into t values (@, 'i')"),
        ("update on t", "update t set v = '@' where id <= 300"),
        ("delete on t", "delete from t where id = @ - 10000"),
        ("select on t", "update t set v = '@' where id = 200"),
        ("truncate on t", "truncate t"),
        ("usage on schema public", "insert into t values (@, 'u')"),
    ] {
        id += 1;
        // Everybody has the schema in PostgreSQL's default; here nobody but those it is granted to.
        replication.on_subscriber(&format!(
            "revoke {right} from trunkline_replay; revoke usage on schema public from public"
        ));
        replication.on_provider(&statement.replace('@', &id.to_string()));
        let error = parked(&replication, "public.t")["error"].to_string();
        let object = if right.contains("schema") {
            "schema public"
        } else {
            "table t"
        };
        assert!(
            error.contains("permission denied for") && error.contains(object),
            "{right}: {error}"
        );
        replication.on_subscriber(&format!("grant {right} to trunkline_replay"));
        // The first goes on by itself; the others need not rest.
        if id > 10_001 {
            replication.replay.run(&["resume"]).ok();
        }
        replication.wait_ok();
        replication.sync();
        replication.assert_same();
    }
    // A right of the session is looked at when a session is opened.
    replication
        .on_subscriber("revoke set on parameter session_replication_role from trunkline_replay");
    replication.replay.run(&["restart"]);
    wait_until("replay to name the parameter", SOON, || {
        let log = replication.replay.log();
        log.contains("subscriber stopped") && log.contains("session_replication_role")
    });
    replication.on_provider("insert into t values (20000, 'p')");
    replication
        .on_subscriber("grant set on parameter session_replication_role to trunkline_replay");
    replication.sync();
    replication.assert_same();
    // A row that the role must not see is no missing one.
    replication.on_subscriber(
        "alter table t enable row level security; create policy half on t using (id < 100)",
    );
    replication.on_provider("update t set v = 'hidden' where id >= 100");
    let error = parked(&replication, "public.t")["error"].to_string();
    assert!(error.contains("row-level security"), "{error}");
    replication.on_subscriber("alter table t disable row level security");
    replication.replay.run(&["resume", "t"]).ok();
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    replication.assert_no_conflicts();
}

#[test]
fn se_10_superuser_and_set_role_that_are_taken_from_a_running_role_are_missed_by_name() {
    for (made_by, taken, given, table) in [
        (
            "create role worker login superuser",
            "alter role worker nosuperuser",
            "alter role worker superuser",
            "t",
        ),
        (
            "create role worker login; grant create, temporary on database db1 to worker; grant alice to worker; \
             grant set on parameter session_replication_role to worker",
            "revoke alice from worker",
            "grant alice to worker",
            "owned",
        ),
    ] {
        let replication = Replication::builder().make();
        replication.on_provider(
            "create table t (id int primary key, v text); create table owned (id int primary key, v text)",
        );
        replication.copy_schema();
        replication.on_subscriber(&format!(
            "create role alice; grant temporary on database db1 to alice; grant usage on schema public to alice; \
             alter table owned owner to alice; {made_by}"
        ));
        let config = std::fs::read_to_string(&replication.replay.config).unwrap();
        let target = replication.subscribers[0].conninfo(replication.db());
        let worker = target.replace("user=postgres", "user=worker");
        std::fs::write(&replication.replay.config, config.replace(&target, &worker)).unwrap();
        replication.start();
        replication.replay.run(&["add", table]).ok();
        replication.wait_ok();
        replication.on_provider(&format!("insert into {table} values (1, 'with the right')"));
        replication.sync();
        replication.on_subscriber(taken);
        replication.on_provider(&format!("insert into {table} values (2, 'without')"));
        let name = format!("public.{table}");
        let error = parked(&replication, &name)["error"].to_string();
        assert!(
            error.contains("permission denied") && error.contains(table),
            "{error}"
        );
        replication.on_subscriber(given);
        // By itself, without a person.
        replication.wait_ok();
        replication.assert_followed(&["table parked", "subscriber waits", "subscriber stopped"]);
    }
}

#[test]
fn se_05_policies_and_rights_that_come_in_the_middle_of_a_copy_park_the_table_until_they_are_gone()
{
    let replication = with_roles();
    replication.everywhere(
        "create table late (id int primary key, v text); grant select on late to trunkline_replay",
    );
    replication.on_subscriber("grant insert, update, delete, truncate on late to trunkline_replay");
    replication.on_provider(
        "grant trigger on late to trunkline_replay; \
         insert into late select i, repeat('v', 100) from generate_series(1, 200000) i",
    );
    replication.replay.run(&["add", "late"]).ok();
    replication.wait_ok();
    let hidden =
        "alter table late enable row level security; create policy half on late using (id < 100)";
    let shown = "alter table late disable row level security; drop policy half on late";
    for (on_provider, taken, given, says) in [
        (true, hidden, shown, "row-level security"),
        (false, hidden, shown, "row-level security"),
        (
            true,
            "revoke select on late from trunkline_replay",
            "grant select on late to trunkline_replay",
            "permission denied for table late",
        ),
        (
            false,
            "revoke insert on late from trunkline_replay",
            "grant insert on late to trunkline_replay",
            "permission denied for table late",
        ),
    ] {
        let side = if on_provider {
            &replication.provider
        } else {
            &replication.subscribers[0]
        };
        for half_way in [false, true] {
            if half_way && taken == hidden {
                // It waits for the copy to end.
                continue;
            }
            println!("{taken}, on the provider: {on_provider}, half way: {half_way}");
            let held = Session::holding(
                &replication.subscribers[0],
                replication.db(),
                "insert into trunkline.copied_range values ('replay1', 'public', 'late', 1)",
            );
            if !half_way {
                side.psql(replication.db(), taken);
            }
            replication.replay.run(&["resync", "late"]).ok();
            if half_way {
                wait_until("a part to be in", SOON, || {
                    replication.on_subscriber("select count(*) > 0 from trunkline.copied_range")
                        == "t"
                });
                side.psql(replication.db(), taken);
            }
            drop(held);
            replication.wait_parked("public.late", &[says]);
            side.psql(replication.db(), given);
            replication.wait_ok();
            replication.sync();
            replication.assert_same();
        }
    }
    replication.assert_clean(&[
        "table parked table=public.late",
        "is loaded again",
        "a table's task waits",
        "not cleared away yet",
    ]);
}

#[test]
fn a_role_may_have_any_name() {
    let replication = Replication::builder().make();
    replication
        .everywhere("create table t (id int primary key); create role \"Re.Play\" login superuser");
    for node in [&replication.ticker, &replication.replay] {
        let config = std::fs::read_to_string(&node.config).unwrap();
        let config = config.replace("user=postgres", "user=Re.Play");
        std::fs::write(&node.config, config).unwrap();
    }
    replication.start();
    replication.add_all();
    replication.on_provider("insert into t values (1)");
    replication.sync();
    replication.assert_same();
}

#[test]
fn fa_18_servers_without_a_place_for_a_session_are_named_and_met_again_when_there_is_one() {
    let replication = with_roles();
    let (ticker, replay) = (&replication.ticker, &replication.replay);
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'trunkline%'";
    let (ticker_from, replay_from) = (ticker.log().len(), replay.log().len());
    replication.on_subscriber(&format!(
        "alter role trunkline_replay connection limit 0; {end}"
    ));
    replication.on_provider(&format!(
        "alter role trunkline_ticker connection limit 0; {end}"
    ));
    replay.wait_log_from(replay_from, "53300");
    ticker.wait_log_from(ticker_from, "53300");
    for node in [ticker, replay] {
        node.run(&["install"])
            .code(3)
            .says(&["too many connections", "CONNECTION LIMIT"]);
    }
    replication.on_provider("insert into t (id, v) values (30001, 'limit')");
    replication.on_subscriber("alter role trunkline_replay connection limit -1");
    replication.on_provider("alter role trunkline_ticker connection limit -1");
    replication.sync();

    // All places but one are superusers'.
    let restarted = |sql: &str| {
        for cluster in [&replication.provider, &replication.subscribers[0]] {
            cluster.psql(replication.db(), sql);
            cluster.restart();
        }
    };
    let replay_from = replay.log().len();
    restarted("alter system set superuser_reserved_connections = 99");
    replay.wait_log_from(replay_from, "53300");
    replication.on_provider("insert into t (id, v) values (30002, 'reserved')");
    restarted("alter system reset superuser_reserved_connections");
    replication.sync();
    replication.assert_same();
    for node in [ticker, replay] {
        node.running();
    }
}
