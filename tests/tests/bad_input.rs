//! Wrong configs, unreachable servers, tables that cannot be replicated: a clear
//! message that names what and where, the right exit code, nothing half done.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use tests::{Cluster, Node, Replication, Scratch, Server, is_root, wait_until};

/// A config that is right but for what a test puts in; the server in it does
/// not exist, so that whoever connects first fails with 3 and not with 2.
const TICKER: &str = r#"[ticker]
job_name = "t"
db = "host=127.0.0.1 port=1 dbname=x"
queues = ["q"]
pidfile = "DIR/t.pid"
logfile = "DIR/t.log"
"#;

const REPLAY: &str = r#"[replay]
job_name = "r"
provider_db = "host=127.0.0.1 port=1 dbname=x"
subscriber_db = "host=127.0.0.1 port=1 dbname=y"
pgq_queue_name = "q"
pidfile = "DIR/r.pid"
logfile = "DIR/r.log"
"#;

fn write(scratch: &Scratch, program: &'static str, bytes: &[u8]) -> Node {
    let path = scratch.path().join("config.toml");
    std::fs::write(&path, bytes).unwrap();
    Node::new(program, scratch, &path, "t")
}

fn good(scratch: &Scratch, program: &str) -> String {
    let text = if program == "ticker" { TICKER } else { REPLAY };
    text.replace("DIR", scratch.path().to_str().unwrap())
}

/// `check-config` and `start -d` both refuse it with 2, say these words, and
/// leave no file behind.
#[track_caller]
fn refused(scratch: &Scratch, program: &'static str, bytes: &[u8], words: &[&str]) {
    let node = write(scratch, program, bytes);
    for command in [&["check-config"][..], &["start", "-d"]] {
        let output = node.run(command);
        assert_eq!(
            output.code,
            2,
            "{output:?}\n{}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(500)])
        );
        output.says(words).says(&["config.toml"]);
    }
    for file in ["t.pid", "t.log", "r.pid", "r.log"] {
        assert!(!scratch.path().join(file).exists(), "{file} was made");
    }
}

#[test]
fn a_right_config_is_checked_without_a_connection() {
    let scratch = Scratch::new();
    for program in ["ticker", "replay"] {
        let text = good(&scratch, program);
        write(&scratch, program, text.as_bytes())
            .run(&["check-config"])
            .ok();
        let crlf = text.replace('\n', "\r\n");
        write(&scratch, program, crlf.as_bytes())
            .run(&["check-config"])
            .ok();
    }
}

#[test]
fn values_out_of_range_and_of_the_wrong_type_name_file_key_and_line() {
    let scratch = Scratch::new();
    // The line that is added is line 7 of ticker's and line 8 of replay's file.
    let cases: &[(&'static str, &str, &str)] = &[
        ("ticker", "maint_delay", "-1"),
        ("ticker", "loop_delay", "-0.5"),
        ("ticker", "loop_delay", "0"),
        ("ticker", "loop_delay", "1e99"),
        ("ticker", "loop_delay", "nan"),
        ("ticker", "loop_delay", "inf"),
        ("ticker", "loop_delay", "\"\""),
        ("ticker", "loop_delay", "\"soon\""),
        ("ticker", "loop_delay", "true"),
        ("ticker", "log_size", "-5"),
        ("ticker", "log_size", "\"5 parsecs\""),
        ("ticker", "log_count", "-1"),
        ("replay", "parallel_copies", "0"),
        ("replay", "parallel_copies", "-4"),
        ("replay", "parallel_copies", "100000"),
        ("replay", "parallel_copies", "1.5"),
        ("replay", "parallel_copies", "\"many\""),
        ("replay", "retry_delay", "-30"),
        ("replay", "retry_delay", "1e99"),
        ("replay", "on_conflict", "\"pray\""),
        ("replay", "on_conflict", "1"),
    ];
    for (program, key, value) in cases {
        let text = format!("{}{key} = {value}\n", good(&scratch, program));
        let line = text.lines().count();
        refused(
            &scratch,
            program,
            text.as_bytes(),
            &[key, &format!("{line}")],
        );
    }
}

#[test]
fn unknown_and_duplicate_keys_missing_sections_and_missing_keys_are_named() {
    let scratch = Scratch::new();
    let text = good(&scratch, "ticker");
    refused(
        &scratch,
        "ticker",
        format!("{text}loop_dealy = 1\n").as_bytes(),
        &["loop_dealy", "7"],
    );
    refused(
        &scratch,
        "ticker",
        format!("{text}job_name = \"u\"\n").as_bytes(),
        &["job_name", "7"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("[ticker]", "[tickre]").as_bytes(),
        &["ticker"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("[ticker]\n", "").as_bytes(),
        &["[ticker]"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("job_name = \"t\"\n", "").as_bytes(),
        &["job_name"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("job_name = \"t\"", "job_name = \"\"")
            .as_bytes(),
        &["job_name"],
    );
    let text = good(&scratch, "replay");
    refused(
        &scratch,
        "replay",
        text.replace("pgq_queue_name = \"q\"\n", "").as_bytes(),
        &["pgq_queue_name"],
    );
    refused(
        &scratch,
        "replay",
        text.replace("subscriber_db", "# subscriber_db").as_bytes(),
        &["subscriber"],
    );
    refused(
        &scratch,
        "replay",
        format!("{text}\n[[subscriber]]\nname = \"a\"\ndb = \"dbname=z\"\n").as_bytes(),
        &["subscriber"],
    );
    refused(
        &scratch,
        "replay",
        text.replace("host=127.0.0.1 port=1 dbname=y", "hosst=127.0.0.1 dbname=y")
            .as_bytes(),
        &["subscriber_db", "hosst"],
    );
}

#[test]
fn all_problems_are_told_in_one_go() {
    let scratch = Scratch::new();
    let text = good(&scratch, "replay").replace("pgq_queue_name = \"q\"", "pgq_queue_name = 17");
    let text = format!("{text}parallel_copies = 0\nretry_delay = -1\nsurprise = 1\n");
    refused(
        &scratch,
        "replay",
        text.as_bytes(),
        &[
            "pgq_queue_name",
            "parallel_copies",
            "retry_delay",
            "surprise",
        ],
    );
}

#[test]
fn files_that_are_no_config_are_refused() {
    let scratch = Scratch::new();
    let text = good(&scratch, "ticker");
    refused(&scratch, "ticker", b"", &["ticker"]);
    refused(
        &scratch,
        "ticker",
        format!("{text}x = \"a\0b\"\n").as_bytes(),
        &[],
    );
    refused(&scratch, "ticker", b"\xff\xfe[\0t\0", &[]);
    refused(
        &scratch,
        "ticker",
        format!("{text}this is no toml\n").as_bytes(),
        &["7"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("\"q\"", "\"${NO_SUCH_VARIABLE_HERE}\"")
            .as_bytes(),
        &["NO_SUCH_VARIABLE_HERE"],
    );
    let big = format!("{text}{}", "# padding\n".repeat(1_100_000));
    refused(&scratch, "ticker", big.as_bytes(), &["large"]);

    let dir = scratch.dir("a-directory");
    Node::new("ticker", &scratch, &dir, "t")
        .run(&["check-config"])
        .code(2)
        .says(&["a-directory"]);
    let missing = scratch.path().join("missing.toml");
    Node::new("ticker", &scratch, &missing, "t")
        .run(&["start", "-d"])
        .code(2)
        .says(&["missing.toml"]);
    if !is_root() {
        use std::os::unix::fs::PermissionsExt;
        let secret = scratch.file("secret.toml", &text);
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
        Node::new("ticker", &scratch, &secret, "t")
            .run(&["check-config"])
            .code(2)
            .says(&["secret.toml"]);
    }
    // A byte order mark is no content: an editor's habit, not a mistake.
    let bom = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    write(&scratch, "ticker", &bom).run(&["check-config"]).ok();
}

#[test]
fn without_a_command_there_is_help_and_exit_code_2() {
    for program in ["ticker", "replay", "trunkline"] {
        let path = tests::Programs::get().path(program);
        let output = tests::run(&mut std::process::Command::new(&path)).code(2);
        assert!((output.stdout + &output.stderr).contains("Usage"));
        tests::run(std::process::Command::new(&path).arg("--help")).ok();
        tests::run(std::process::Command::new(&path).arg("--version")).ok();
        tests::run(std::process::Command::new(&path).arg("dance")).code(2);
    }
}

#[test]
fn an_unreachable_host_is_3_and_a_daemon_goes_on_trying() {
    let scratch = Scratch::new();
    for program in ["ticker", "replay"] {
        let text = good(&scratch, program);
        let node = write(&scratch, program, text.as_bytes());
        node.run(&["install"]).code(3).says(&["127.0.0.1"]);
        node.run(&["stop"]).code(5);
    }
    write(&scratch, "replay", good(&scratch, "replay").as_bytes())
        .run(&["add", "--all"])
        .code(3)
        .says(&["127.0.0.1"]);
}

#[test]
fn a_daemon_started_before_its_servers_says_so_and_gets_to_work_when_they_are_there() {
    let replication = Replication::builder().make();
    replication.on_provider("create table t (id int primary key, v text)");
    replication.copy_schema();
    replication.ticker.run(&["install"]).ok();
    replication.replay.run(&["install"]).ok();
    for cluster in [&replication.provider, &replication.subscribers[0]] {
        cluster.stop(tests::Stop::Fast);
    }
    replication
        .ticker
        .run(&["start", "-d"])
        .ok()
        .says(&["127.0.0.1"]);
    replication
        .replay
        .run(&["start", "-d"])
        .ok()
        .says(&["127.0.0.1"]);
    replication.ticker.running();
    replication.replay.running();
    for cluster in [&replication.provider, &replication.subscribers[0]] {
        cluster.start_again();
    }
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_ok();
    replication.on_provider("insert into t values (1, 'x')");
    replication.sync();
    replication.assert_same();
}

#[test]
fn a_wrong_password_is_named_and_never_shown() {
    let cluster = Cluster::builder(&Server::debian15())
        .host_auth("scram-sha-256")
        .start();
    cluster.psql("postgres", "alter role postgres password 'right'");
    let scratch = Scratch::new();
    let text = good(&scratch, "ticker").replace(
        "host=127.0.0.1 port=1 dbname=x",
        &format!("{} password=wrong-secret", cluster.conninfo("postgres")),
    );
    let node = write(&scratch, "ticker", text.as_bytes());
    let output = node
        .run(&["install"])
        .code(3)
        .says(&["password", "127.0.0.1"]);
    assert!(!output.stderr.contains("wrong-secret"), "{}", output.stderr);
    assert_eq!(
        cluster.psql(
            "postgres",
            "select count(*) from pg_namespace where nspname in ('pgq', 'trunkline')"
        ),
        "0"
    );
    write(
        &scratch,
        "ticker",
        text.replace("wrong-secret", "right").as_bytes(),
    )
    .run(&["install"])
    .ok();
}

/// A provider with all that cannot be added, and a subscriber where things lack.
fn awkward() -> Replication {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table good (id int primary key, v text); \
         create table only_here (id int primary key, v text); \
         create table no_key (id int, v text); \
         create table lacks_column (id int primary key, v text, w text); \
         create table filled (id int primary key, v text); \
         create unlogged table unlogged (id int primary key); \
         create view a_view as select * from good; \
         create materialized view a_matview as select * from good; \
         create sequence a_sequence; \
         insert into good values (1, 'one')",
    );
    replication.on_subscriber(
        "create table good (id int primary key, v text); \
         create table no_key (id int, v text); \
         create table lacks_column (id int primary key, v text); \
         create table filled (id int primary key, v text); \
         create table unlogged (id int primary key); \
         create view a_view as select * from good; \
         insert into filled values (1, 'mine')",
    );
    replication.start();
    replication
}

/// Nothing of a table that could not be added is left on either side.
#[track_caller]
fn nothing_of(replication: &Replication, table: &str) {
    let triggers = replication.on_provider(&format!(
        "select count(*) from pg_trigger where tgrelid = '{table}'::regclass and not tgisinternal"
    ));
    assert_eq!(triggers, "0", "triggers on {table}");
    assert!(
        !replication
            .tables()
            .iter()
            .any(|state| state.table.ends_with(table)),
        "{table} is registered"
    );
}

#[test]
fn tables_that_cannot_be_added_are_refused_with_a_reason_and_nothing_is_half_done() {
    let replication = awkward();
    for (table, words) in [
        ("only_here", &["only_here", "subscriber"][..]),
        ("no_key", &["no_key", "key"]),
        ("lacks_column", &["lacks_column", "column", "w"]),
        ("filled", &["filled", "--truncate"]),
        ("unlogged", &["unlogged"]),
        ("a_view", &["a_view", "view"]),
        ("a_matview", &["a_matview", "view"]),
    ] {
        replication.replay.run(&["add", table]).code(3).says(words);
        nothing_of(&replication, table);
    }
    for (table, words) in [
        ("a_sequence", &["a_sequence", "sequence"][..]),
        ("good_pkey", &["good_pkey"]),
        ("pg_catalog.pg_class", &["pg_class"]),
        ("pgq.queue", &["pgq.queue"]),
        ("nowhere", &["nowhere"]),
        ("no.such.table", &["no.such.table"]),
    ] {
        let output = replication.replay.run(&["add", table]);
        assert!([2, 3].contains(&output.code), "{output:?}");
        output.says(words);
    }
    // One that can be added beside one that cannot: done in part.
    replication
        .replay
        .run(&["add", "good", "no_key"])
        .code(1)
        .says(&["no_key"]);
    nothing_of(&replication, "no_key");
    replication.wait_ok();
    replication.sync();
    tests::same(
        (&replication.provider, replication.db()),
        (&replication.subscribers[0], replication.db()),
        "public.good",
    );
    // Again is no error, and changes nothing.
    replication.replay.run(&["add", "good"]).ok();
    assert_eq!(replication.tables().len(), 1);
}

#[test]
fn add_all_adds_what_it_can_lists_the_rest_and_ends_with_1() {
    let replication = awkward();
    replication.replay.run(&["add", "--all"]).code(1).says(&[
        "only_here",
        "no_key",
        "lacks_column",
        "filled",
    ]);
    replication.wait_ok();
    let tables = replication.tables();
    assert_eq!(tables.len(), 1);
    assert_eq!(tables[0].table, "public.good");
    for table in ["only_here", "no_key", "lacks_column", "filled", "unlogged"] {
        nothing_of(&replication, table);
    }
    // With the word that says what to do with the rows there, it goes.
    replication
        .replay
        .run(&["add", "filled", "--truncate"])
        .ok();
    replication.wait_ok();
    assert_eq!(
        replication.on_subscriber("select count(*) from filled"),
        "0"
    );
}

#[test]
fn a_second_start_is_5_and_another_job_waits_as_standby() {
    let replication = Replication::builder().make();
    replication.start();
    for node in [&replication.ticker, &replication.replay] {
        let pid = node.running();
        node.run(&["start", "-d"]).code(5).says(&[&pid.to_string()]);
        node.run(&["start"]).code(5);
        assert_eq!(node.running(), pid);
        node.run(&["stop"]).ok();
        assert_eq!(node.pid(), None);
        node.run(&["stop"]).code(5);
        // A pid file that a kill left behind is no running daemon.
        std::fs::write(&node.pidfile, "999999999\n").unwrap();
        node.run(&["start", "-d"]).ok();
        node.running();
    }
}

#[test]
fn commands_of_a_provider_that_is_not_installed_say_what_to_run() {
    let replication = Replication::builder().make();
    replication
        .replay
        .run(&["add", "--all"])
        .code(3)
        .says(&["install"]);
    replication.replay.run(&["tables"]).code(3);
    replication.ticker.run(&["install"]).ok();
    replication.ticker.run(&["start", "-d"]).ok();
    replication
        .replay
        .run(&["add", "--all"])
        .code(3)
        .says(&["install"]);
}

#[test]
fn wait_ends_with_4_when_the_time_is_over() {
    let replication = Replication::builder().make();
    replication.on_provider("create table t (id int primary key)");
    replication.copy_schema();
    replication.start();
    replication.replay.run(&["add", "t"]).ok();
    replication.wait_ok();
    replication.replay.run(&["stop"]).ok();
    replication.on_provider("insert into t values (1)");
    replication.replay.run(&["wait", "--timeout", "1"]).code(4);
    replication.replay.run(&["start", "-d"]).ok();
    replication.sync();
}

#[test]
fn a_queue_schema_that_is_not_ours_is_left_alone() {
    let replication = Replication::builder().make();
    replication.on_provider("create schema pgq; create table pgq.queue (mine int)");
    replication.ticker.run(&["install"]).code(3).says(&["pgq"]);
    assert_eq!(
        replication.on_provider("select count(*) from pg_namespace where nspname = 'trunkline'"),
        "0"
    );
}

#[test]
fn a_pid_file_that_is_a_symbolic_link_is_not_followed() {
    let replication = Replication::builder().make();
    replication.ticker.run(&["install"]).ok();
    let victim = replication.scratch.file("victim", "precious");
    std::os::unix::fs::symlink(&victim, &replication.ticker.pidfile).unwrap();
    let output = replication.ticker.run(&["start", "-d"]);
    assert_ne!(output.code, 0, "{output:?}");
    assert_eq!(
        std::fs::read_to_string(Path::new(&victim)).unwrap(),
        "precious"
    );
    wait_until("no daemon", Duration::from_secs(5), || {
        replication.ticker.pid().is_none()
    });
}
