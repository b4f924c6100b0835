//! The fence: which statements it stops, on which levels, for whom it waits, and that who blocks it is named.

use tests::{Cluster, Node, Replication, Scratch, Server, Session, configure, wait_until};

use crate::{SOON, fence, operator, sqlstate, wait_tick};

const TABLES: &str = "create table t (id int primary key, v text); insert into t select g, 'a' from generate_series(1, 100) g;
    create table p (id int primary key, v text) partition by range (id);
    create table p_low partition of p for values from (0) to (100) partition by range (id);
    create table p_low_1 partition of p_low for values from (0) to (50);
    create table p_low_2 partition of p_low for values from (50) to (100);
    create table p_high partition of p for values from (100) to (200);
    insert into p select g, 'a' from generate_series(1, 150) g;
    create table parent (id int primary key); insert into parent values (1);
    create table child (id int primary key, parent_id int references parent on delete cascade on update cascade);
    insert into child values (1, 1)";

/// Statements that write a table of the set, or would if there were such rows.
const WRITES: [&str; 17] = [
    "insert into t values (1000)",
    "insert into t values (1) on conflict do nothing",
    "insert into t values (1) on conflict (id) do update set v = 'b'",
    "update t set v = 'b' where id = -1",
    "update t set v = 'b'",
    "delete from t where id = -1",
    "with gone as (delete from t returning id) select count(*) from gone",
    "truncate t",
    "copy t from program 'echo 1000,x' csv",
    "insert into p values (10, 'b')",
    "insert into p_low values (10, 'b')",
    "insert into p_low_1 values (10, 'b')",
    "update p_high set v = 'b'",
    "truncate p",
    "truncate p_low_1",
    "delete from parent",
    "update parent set id = 2",
];

fn is_fenced_and_opened_again(version: u32) {
    let server = Server::version(version);
    // Partitioned tables have no primary keys before PostgreSQL 11.
    let tables = if version == 10 {
        "create table t (id int primary key, v text); create table p (id int) partition by range (id);
         create table p_1 partition of p for values from (0) to (9)"
    } else {
        TABLES
    };
    let cluster = Cluster::builder(&server).start();
    cluster.create_db("db1");
    cluster.psql("db1", tables);
    let scratch = Scratch::new();
    let (ticker, _) = configure(&scratch, "db1", &cluster, &[&cluster], "", "");
    ticker.run(&["install"]).ok();
    let add = "select trunkline.add_table('q1', 'c', 'public', x.name, case when x.name = 'p' and
                   current_setting('server_version_num')::int < 110000 then 'full' end)
                 from (values ('t'), ('p')) x (name)";
    cluster.psql("db1", add);
    let operator = Node::new("trunkline", &scratch, &ticker.config, "ticker1");
    let tick = fence(&operator);
    let writes: &[&str] = if version == 10 {
        &[
            "insert into t values (1)",
            "truncate t",
            "insert into p values (1)",
            "insert into p_1 values (1)",
        ]
    } else {
        &WRITES[..15]
    };
    for write in writes {
        assert_eq!(
            sqlstate(&cluster, "db1", &format!("begin read write; {write}")),
            "25006",
            "{write}"
        );
    }
    // Repeated, it says the same.
    let again = operator.run(&["fence", "q1"]).ok().stdout;
    assert!(
        again.contains(&format!("tick {tick} is the final one")),
        "{again}"
    );
    operator.run(&["unfence", "q1"]).ok();
    for write in &writes[..1] {
        assert_eq!(sqlstate(&cluster, "db1", write), "ok", "{write}");
    }
    let found = cluster.psql("db1", "select count(*) from trunkline.fence_problems()");
    assert_eq!(found, "0");
}

#[test]
fn postgresql_10_is_fenced_and_opened_again() {
    is_fenced_and_opened_again(10);
}

#[test]
fn postgresql_18_is_fenced_and_opened_again() {
    is_fenced_and_opened_again(18);
}

#[test]
fn a_fence_stops_every_statement_on_every_level_and_the_subscriber_gets_all_before_it() {
    let replication = Replication::builder().running(TABLES);
    let operator = operator(&replication);
    // The parent of a cascade is outside the set: its child is what refuses.
    replication.replay.run(&["remove", "parent"]).ok();
    replication.on_provider("update t set v = 'last'; delete from p where id > 140");
    let tick = fence(&operator);
    for write in WRITES {
        let state = sqlstate(
            &replication.provider,
            "db1",
            &format!("begin read write; {write}"),
        );
        assert_eq!(state, "25006", "{write}");
    }
    let merge = "merge into t using (values (1)) v (id) on t.id = v.id when matched then update set v = 'b'";
    let merge = format!("begin read write; {merge}");
    assert_eq!(sqlstate(&replication.provider, "db1", &merge), "25006");
    // What a fence does not stop: other tables, sequences, and sessions that write as a replica.
    for free in [
        "create table other (id int); insert into other values (1)",
        "create sequence s; select nextval('s')",
        "set session_replication_role = replica; insert into t values (-5); delete from t where id = -5",
    ] {
        let state = sqlstate(
            &replication.provider,
            "db1",
            &format!("begin read write; {free}"),
        );
        assert_eq!(state, "ok", "{free}");
    }
    wait_tick(&replication, tick);
    for table in ["t", "p", "child"] {
        tests::same(
            (&replication.provider, "db1"),
            (&replication.subscribers[0], "db1"),
            &format!("public.{table}"),
        );
    }
    operator.run(&["unfence", "q1"]).ok();
    replication.on_provider(
        "insert into t values (1000, 'c'); truncate p_high; insert into p values (120, 'c')",
    );
    replication
        .replay
        .run(&["add", "parent", "--expect-sync"])
        .ok();
    replication.wait_ok();
    replication.assert_followed(&[]);
}

#[test]
fn who_blocks_is_named_and_nothing_has_changed_when_the_time_is_up() {
    let replication = Replication::running(
        "create table t (id int primary key); create table u (id int primary key)",
    );
    let operator = operator(&replication);
    let writer = Session::holding(&replication.provider, "db1", "insert into t values (1)");
    let pid = writer.ask("select pg_backend_pid()");
    operator
        .run(&["fence", "q1", "--drain", "1"])
        .code(4)
        .says(&[
            "public.t",
            &format!("pid {pid}"),
            "RowExclusiveLock",
            "transaction open since",
        ]);
    let left = replication.on_provider(
        "select (select count(*) from pg_trigger where tgname = 'deny_trunkline')
              + (select count(*) from trunkline.role) + (select count(*) from trunkline.history)
              + (select count(*) from pg_db_role_setting)",
    );
    assert_eq!(left, "0");
    replication.on_provider("insert into u values (1)");

    // A prepared transaction is never waited for.
    writer.ask("prepare transaction 'it''s two'");
    operator
        .run(&["fence", "q1", "--drain", "60"])
        .code(3)
        .says(&["it''s two", "public.t", "rollback prepared"]);
    writer.ask("commit prepared 'it''s two'");
    fence(&operator);
    operator.run(&["unfence", "q1"]).ok();
    replication.assert_followed(&[]);
}

#[test]
fn a_fence_by_a_role_that_is_no_superuser_needs_the_tables() {
    let cluster = Cluster::start();
    cluster.psql(
        "postgres",
        "create role app login createrole; create role other",
    );
    cluster.psql("postgres", "create database db1 owner app");
    cluster.psql(
        "db1",
        "create table t (id int primary key); alter table t owner to app;
         create table u (id int primary key); alter table u owner to other; grant select, trigger on u to app",
    );
    let scratch = Scratch::new();
    let config = format!(
        "[ticker]\njob_name = \"ticker1\"\nlogfile = \"{0}/l.log\"\npidfile = \"{0}/l.pid\"\ndb = \"{1}\"\n\
         queues = [\"q1\"]\n",
        scratch.path().display(),
        cluster.conninfo("db1").replace("user=postgres", "user=app"),
    );
    let config = scratch.file("ticker.toml", &config);
    let ticker = Node::new("ticker", &scratch, &config, "ticker1");
    ticker.run(&["install"]).ok();
    let add = "set session authorization app; select trunkline.add_table('q1', 'c', 'public', x) from unnest(array['t', 'u']) x";
    cluster.psql("db1", add);
    let operator = Node::new("trunkline", &scratch, &config, "ticker1");
    operator
        .run(&["fence", "q1", "--drain", "60"])
        .code(3)
        .says(&["role app does not own public.u", "member of other"]);
    cluster.psql("db1", "alter table u owner to app");
    fence(&operator);
    for table in ["t", "u"] {
        let write = format!("begin read write; insert into {table} values (1)");
        assert_eq!(sqlstate(&cluster, "db1", &write), "25006");
    }
    operator.run(&["unfence", "q1"]).ok();
    assert_eq!(sqlstate(&cluster, "db1", "insert into u values (1)"), "ok");
    // The right to fence is nobody's but the owner's.
    let weak = "create role weak login; grant pgq_admin to weak; set session authorization weak;
        select trunkline.fence('q1')";
    assert_eq!(sqlstate(&cluster, "db1", weak), "42501");
}

#[test]
fn a_table_that_is_being_vacuumed_by_the_server_is_fenced() {
    let provider = Cluster::builder(&Server::debian15())
        .set("autovacuum_naptime", "1s")
        .set("autovacuum_vacuum_cost_delay", "100ms")
        .set("autovacuum_vacuum_cost_limit", "1")
        .set("log_autovacuum_min_duration", "0");
    let replication = Replication::builder().provider(provider).running(
        "create table t (id int primary key, v text) with (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0)",
    );
    replication.on_provider(
        "insert into t select g, repeat('x', 200) from generate_series(1, 20000) g; delete from t where id % 2 = 0",
    );
    wait_until("the server to vacuum it", SOON, || {
        let running = "select count(*) from pg_stat_progress_vacuum where relid = 't'::regclass";
        replication.on_provider(running) == "1"
    });
    fence(&operator(&replication));
    wait_until("the vacuum to give way", SOON, || {
        replication
            .provider
            .log()
            .contains("canceling autovacuum task")
    });
}

#[test]
fn capture_does_not_look_at_tables_whose_triggers_a_fence_switches() {
    let provider = Cluster::builder(&Server::debian15()).set("track_functions", "all");
    let leaves = "create table p (id int primary key) partition by range (id);
        do $$ begin for i in 0 .. 99 loop
            execute format('create table p_%s partition of p for values from (%s) to (%s)', i, i * 10, i * 10 + 10);
        end loop; end $$";
    let replication = Replication::builder().provider(provider).running(leaves);
    let operator = operator(&replication);
    let calls = || {
        let sql = "select coalesce(sum(calls), 0) from pg_stat_user_functions where funcname = 'refresh_capture'";
        replication.on_provider(sql).parse::<i64>().unwrap()
    };
    let ended = |event: &str| {
        wait_until(event, SOON, || {
            let sql = "select count(*) from pg_stat_activity where application_name like 'trunkline operator%'";
            replication.on_provider(sql) == "0"
        });
    };
    fence(&operator);
    ended("the session of the fence to end");
    let before = calls();
    // The second time triggers are there, and each is switched by an ALTER TABLE.
    operator.run(&["unfence", "q1"]).ok();
    fence(&operator);
    operator.run(&["unfence", "q1"]).ok();
    ended("the sessions to end");
    // Each of 300 commands would have been a call.
    let after = calls();
    assert!(after - before < 100, "{before} {after}");
    // It looks at other commands as ever.
    replication.on_subscriber("alter table p add column w int");
    replication.on_provider("alter table p add column w int");
    wait_until("capture to look at a table", SOON, || calls() > after);
    replication.on_provider("insert into p values (5, 6)");
    replication.assert_followed(&[]);
}

#[test]
fn a_role_with_the_grants_of_the_manual_may_fence() {
    let replication = Replication::running("create table t (id int primary key)");
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/roles.md")).unwrap();
    let (_, section) = text.split_once("## Who may fence").unwrap();
    let (_, block) = section.split_once("```sql").unwrap();
    let (_, block) = block.split_once('\n').unwrap();
    let (grants, _) = block.split_once("```").unwrap();
    replication.on_provider("create role ha_operator login");
    let config = std::fs::read_to_string(&replication.ticker.config).unwrap();
    let config = config.replace("user=postgres", "user=ha_operator");
    let config = replication.scratch.file("etc/operator.toml", &config);
    let operator = Node::new("trunkline", &replication.scratch, &config, "ticker1");
    operator.run(&["fence", "q1"]).code(3);
    replication.on_provider(grants);
    fence(&operator);
    assert_eq!(
        sqlstate(&replication.provider, "db1", "insert into t values (1)"),
        "25006"
    );
    operator.run(&["unfence", "q1"]).ok();
    operator.run(&["probe", "serve", "--write"]).ok();
    operator.run(&["check", "role", "fence"]).ok();
    replication.on_provider("insert into t values (1)");
    replication.assert_followed(&[]);
}

#[test]
fn event_triggers_of_the_databases_users_do_not_hold_a_fence_up() {
    let replication = Replication::running("create table t (id int primary key)");
    replication.on_provider(
        "create table ddl_log (tag text);
         create function log_ddl() returns event_trigger language plpgsql as
             $$ begin insert into ddl_log values (tg_tag); end $$;
         create event trigger log_ddl on ddl_command_end execute procedure log_ddl()",
    );
    let operator = operator(&replication);
    for _ in 0..2 {
        fence(&operator);
        operator.run(&["unfence", "q1"]).ok();
    }
    replication.on_provider("alter table t add column v int");
    assert_eq!(
        replication.on_provider("select string_agg(tag, ',') from ddl_log"),
        "ALTER TABLE"
    );
    replication.on_provider("drop event trigger log_ddl");
}
