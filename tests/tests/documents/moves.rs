//! Pages that move an application, or a replication of another program: each is played on servers of its own, while
//! somebody writes, and both sides are compared at the end.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tests::{Load, Node, Replication, Writes, run, wait_until};

use crate::blocks::{Place, blocks};
use crate::pages;

const DB: &str = "db1";

/// The tables that are moved.
const TABLES: &str = "\
    create table customers (id int primary key, name text); \
    insert into customers select i, 'customer ' || i from generate_series(1, 1000) i; \
    create table orders (id serial primary key, customer int, total numeric); \
    insert into orders (customer, total) select 1 + i % 1000, i from generate_series(1, 3000) i; \
    create sequence numbers";

/// What writers do all the time.
fn load(place: &Place) -> Load {
    let writes: Writes = Arc::new(|_, number| {
        format!(
            "insert into orders (customer, total) values ({0}, 1); select nextval('numbers'); \
             update customers set name = name || 'x' where id = {0} + 1; \
             delete from orders where id = 1 + {0} % 3000",
            number % 1000
        )
    });
    place
        .replication
        .load(1, Duration::from_millis(100), &writes)
}

/// The blocks of a page, in their order; `before` is told each one's place and text.
fn play(place: &Place, page: &str, mut before: impl FnMut(&str)) {
    let all = pages::all();
    let page = all.iter().find(|one| one.path == page).unwrap();
    let mut run = 0;
    for block in blocks(page).iter().filter(|block| block.info != "toml") {
        before(&block.text);
        place.run(block);
        run += usize::from(!block.info.contains("skip:") && block.info != "text");
    }
    assert!(run > 3, "only {run} blocks of {} were run", page.path);
}

/// No rows were copied: a table that is added as in sync is copied with none.
fn assert_not_copied(place: &Place) {
    let log = place.replication.replay.log();
    let copied = |line: &&str| line.contains(" table copied ") && !line.contains(" rows=0 ");
    assert_eq!(log.lines().find(copied), None);
}

/// Every table has the same rows on both sides.
fn assert_same(place: &Place) {
    let replication = &place.replication;
    for table in ["public.customers", "public.orders"] {
        let sides = [&replication.provider, &replication.subscribers[0]];
        let sql = format!(
            "select count(*), md5(string_agg(t::text, '|' order by t::text)) from {table} t"
        );
        let [provider, subscriber] = sides.map(|cluster| cluster.psql(DB, &sql));
        assert_eq!(provider, subscriber, "{table}");
    }
}

#[test]
fn every_page_that_is_played_alone_is_played_here() {
    for page in pages::PLAYED_ALONE {
        let call = format!("play(&place, \"{page}\"");
        assert!(
            include_str!("moves.rs").contains(&call),
            "who plays {page}?"
        );
    }
}

#[test]
fn a_server_that_others_manage_is_replicated_as_the_manual_says_by_a_role_that_is_no_superuser() {
    let replication = Replication::builder()
        .replay_line("session_role = \"origin\"")
        .make();
    replication.everywhere("create role owner login createrole; alter database db1 owner to owner");
    replication.everywhere("alter schema public owner to owner");
    replication.on_provider(&format!("set role owner; {TABLES}"));
    replication.on_subscriber(&format!(
        "set role owner; {TABLES}; truncate customers, orders"
    ));
    for config in [&replication.ticker.config, &replication.replay.config] {
        let text = std::fs::read_to_string(config).unwrap();
        std::fs::write(config, text.replace("user=postgres", "user=owner")).unwrap();
    }
    let place = Place::of(replication);
    let writers = load(&place);
    play(&place, "docs/managed.md", |_| {});
    writers.wait_for_more(10);
    assert_eq!(writers.stop().errors, Vec::<String>::new());
    place.replication.sync();
    assert_same(&place);
    let said = |sql: &str| place.replication.on_provider(sql);
    assert_eq!(said("select trunkline.capture_mode()"), "fingerprint");
    let used = "select string_agg(distinct usename, ' ') from pg_stat_activity where application_name like 'trunkline%'";
    wait_until(
        "sessions of the role alone",
        Duration::from_secs(120),
        || said(used) == "owner" && place.replication.on_subscriber(used) == "owner",
    );
    // The fence of the cut-over is the provider's own matter, whatever the subscriber's session_role.
    let operator = operator(&place);
    operator.run(&["fence", "q1"]).ok();
    let late = "begin read write; delete from orders; commit";
    let provider = &place.replication.provider;
    let refused = "this node takes no writes for queue q1: table public.orders";
    provider.try_psql(DB, late).code(1).says(&[refused]);
    operator.run(&["unfence", "q1"]).ok();
}

/// What another program has on both sides: tables of its own, with rows and without keys.
const OTHER: &str = "\
    create schema _rep; create table _rep.sl_log_1 (log_data text); create table _rep.sl_node (no_id int primary key); \
    insert into _rep.sl_node values (1)";

#[test]
fn what_another_program_has_replicated_is_taken_over_and_the_application_moves_for_good() {
    let replication = Replication::builder().make();
    replication.on_provider(TABLES);
    replication.copy_schema();
    // The subscriber has the rows of a moment ago: the other program has just ended.
    let mut dump = replication.provider.client("pg_dump", DB);
    let rows = run(dump.args(["-a", "-t", "public.*"])).ok();
    let file = replication.scratch.file("rows.sql", &rows.stdout);
    replication.subscribers[0].psql_file(DB, &file).ok();
    replication.everywhere(OTHER);
    let place = Place::of(replication);
    let writers = load(&place);
    writers.wait_for_more(10);
    play(&place, "docs/moving-from-others.md", |_| {});
    // No pause, and no copy.
    place.replication.wait_log("table repaired by keys");
    assert_not_copied(&place);
    writers.wait_for_more(10);
    let tables = place.replication.tables();
    let tables: Vec<&str> = tables.iter().map(|one| one.table.as_str()).collect();
    assert_eq!(tables, ["public.customers", "public.orders"]);
    // What the page says of all tables: without its `--exclude` the other program's would be emptied.
    let all = |more: &[&str]| {
        let args = [&["add", "--all", "--truncate", "--dry-run"], more].concat();
        place.replication.replay.run(&args).text().to_owned()
    };
    assert!(all(&[]).contains("_rep.sl_node"), "{}", all(&[]));
    let said = all(&["--exclude", "_rep.*"]);
    assert!(!said.contains("_rep"), "{said}");

    let mut writers = Some(writers);
    play(&place, "docs/cut-over.md", |text| {
        // The application is stopped by the fence: its sessions meet the error that the page tells of.
        if text.starts_with("replay wait") {
            let errors = writers.take().unwrap().stop().errors;
            assert!(
                errors.iter().all(|error| error.starts_with("25006")),
                "{errors:?}"
            );
        }
    });
    assert!(writers.is_none(), "the page never waits");
    assert_same(&place);
    // The old database is closed although replay has gone from it, until somebody takes the fence away.
    let late =
        "begin read write; update customers set name = 'late'; update orders set total = 0; commit";
    let old = &place.replication.provider;
    let refused = "this node takes no writes for queue q1: table public.customers";
    old.try_psql(DB, late).code(1).says(&[refused]);
    let triggers = "select count(*) from pg_trigger where tgname = 'deny_trunkline'";
    assert_eq!(old.psql(DB, triggers), "2");
    assert_same(&place);
    // The next number is one that the old database has never given out.
    for sequence in ["numbers", "orders_id_seq"] {
        let sql = format!("select last_value from {sequence}");
        let old: i64 = place.replication.on_provider(&sql).parse().unwrap();
        let next = format!("select nextval('{sequence}')");
        let new: i64 = place.replication.on_subscriber(&next).parse().unwrap();
        assert_eq!(new, old + 1, "{sequence}");
    }
    // The page has stopped the ticker: only the command is left to open the tables.
    operator(&place).run(&["unfence", "q1"]).ok();
    assert_eq!(old.psql(DB, triggers), "0");
    old.psql(DB, late);
}

fn operator(place: &Place) -> Node {
    let Replication {
        scratch, ticker, ..
    } = &place.replication;
    Node::new("trunkline", scratch, &ticker.config, "ticker1")
}

/// The words of code in a page, and whether each of these is one of them.
fn assert_named(page: &str, words: &[String]) {
    let text = std::fs::read_to_string(pages::root().join(page)).unwrap();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let missing: Vec<&String> = words
        .iter()
        .filter(|word| {
            !text.match_indices(word.as_str()).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                let after = text[at + word.len()..].chars().next();
                !before.is_some_and(is_name) && !after.is_some_and(is_name)
            })
        })
        .collect();
    assert!(missing.is_empty(), "{page} lacks {missing:?}");
}

#[test]
fn the_page_about_londiste_has_each_of_its_commands_options_and_settings() {
    need_londiste();
    let help = run(Command::new("londiste").arg("--help")).ok().stdout;
    let mut words: Vec<&str> = help
        .lines()
        .take_while(|line| !line.starts_with("Options:"))
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()) && word.len() > 3)
        .collect();
    assert!(words.len() > 30, "{words:?}");
    words.extend(help.split_whitespace().filter_map(|word| {
        let name = word.split('=').next()?;
        (name.starts_with("--") && name != "--help").then_some(name)
    }));
    let ini = |program: &str| run(Command::new(program).arg("--ini")).ok().stdout;
    let samples = ini("londiste") + &ini("pgqd");
    let keys = samples.lines().filter_map(|line| {
        let (key, _) = line.trim_start_matches('#').split_once('=')?;
        let key = key.trim();
        (!key.is_empty() && !key.contains([' ', '/'])).then_some(key)
    });
    words.extend(keys);
    assert!(words.len() > 90, "{words:?}");
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    assert_named("docs/moving-from-londiste.md", &words);
}

/// Londiste, its SQL and its ticker are there.
fn need_londiste() {
    for (file, package) in [
        ("/usr/bin/londiste", "python3-londiste"),
        ("/usr/bin/pgqd", "pgqd"),
        (
            "/usr/share/postgresql/15/extension/londiste.control",
            "postgresql-15-londiste-sql",
        ),
    ] {
        assert!(
            Path::new(file).exists(),
            "{file} is missing: install the package {package} (etc/test.sh does)"
        );
    }
}

/// Ends what a test has started of Londiste, whatever becomes of the test.
struct Ended(Vec<std::path::PathBuf>);

impl Drop for Ended {
    fn drop(&mut self) {
        for pidfile in &self.0 {
            let pid = std::fs::read_to_string(pidfile).ok();
            let pid = pid.and_then(|text| text.trim().parse().ok());
            if let Some(pid) = pid {
                tests::signal(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}

#[test]
#[ignore = "etc/test.sh --full: Londiste's commands take a second and more each"]
fn a_replication_of_londiste_is_taken_over_without_a_pause_and_without_a_copy() {
    need_londiste();
    let replication = Replication::builder().make();
    replication.on_provider(TABLES);
    replication.copy_schema();
    let place = Place::of(replication);
    let Place { replication, .. } = &place;
    let here = replication.scratch.path().display().to_string();
    let sides = [
        ("provider", &replication.provider),
        ("subscriber", &replication.subscribers[0]),
    ];
    let mut ended = Ended(Vec::new());
    for (node, cluster) in sides {
        for extension in ["pgq", "pgq_node", "londiste"] {
            cluster.psql(DB, &format!("create extension {extension}"));
        }
        replication.scratch.file(
            &format!("etc/londiste/{node}.ini"),
            &format!(
                "[londiste]\njob_name = l-{node}\ndb = {}\nqueue_name = replika\nloop_delay = 0.1\n\
                 logfile = {here}/log/%(job_name)s.log\npidfile = {here}/run/%(job_name)s.pid\n",
                cluster.conninfo(DB)
            ),
        );
        ended.0.push(format!("{here}/run/l-{node}.pid").into());
    }
    // One pgqd for both servers: a leaf has no queue of its own to be ticked.
    replication.scratch.file(
        "etc/pgqd.ini",
        &format!(
            "[pgqd]\nbase_connstr = host=127.0.0.1 port={} user=postgres\ndatabase_list = {DB}\n\
             logfile = {here}/log/pgqd.log\npidfile = {here}/run/pgqd.pid\nticker_period = 0.1\n",
            replication.provider.port()
        ),
    );
    ended.0.push(format!("{here}/run/pgqd.pid").into());
    let shell = |line: &str| {
        run(Command::new("bash").args(["-euc", line]).current_dir(&here))
            .ok()
            .stdout
    };
    let [provider, subscriber] = sides.map(|(_, cluster)| cluster.conninfo(DB));
    shell(&format!(
        "londiste etc/londiste/provider.ini create-root p1 '{provider}'
         londiste etc/londiste/subscriber.ini create-leaf s1 '{subscriber}' --provider='{provider}'"
    ));
    replication.on_provider(
        "update pgq.queue set queue_ticker_max_lag = '0.1 s', queue_ticker_idle_period = '0.3 s'",
    );
    shell(
        "pgqd -d etc/pgqd.ini
         londiste -d etc/londiste/provider.ini worker
         londiste -d etc/londiste/subscriber.ini worker
         londiste etc/londiste/provider.ini add-table --all
         londiste etc/londiste/provider.ini add-seq --all
         londiste etc/londiste/subscriber.ini add-table --all
         londiste etc/londiste/subscriber.ini add-seq --all",
    );
    wait_until(
        "Londiste to have copied the tables",
        Duration::from_secs(120),
        || {
            replication.on_subscriber(
            "select count(*) from londiste.table_info where local and merge_state is distinct from 'ok'",
        ) == "0"
        },
    );
    let writers = load(&place);
    writers.wait_for_more(20);
    play(&place, "docs/moving-from-londiste.md", |_| {});
    assert_not_copied(&place);
    writers.wait_for_more(20);
    // Londiste takes its triggers off all tables in one transaction, as the page says.
    let errors = writers.stop().errors;
    assert!(
        errors.iter().all(|error| error.starts_with("40P01")),
        "{errors:?}"
    );
    replication.sync();
    assert_same(&place);
    let left = "select count(*) from pg_namespace where nspname in ('londiste', 'pgq_node')";
    assert_eq!(
        replication.on_provider(left) + &replication.on_subscriber(left),
        "00"
    );
}
