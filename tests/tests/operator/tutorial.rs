//! The tutorial of docs/tutorial.md, line by line, in a fresh directory with the sample configs of
//! etc/, while writers never stop. The ten commands of README.md are among its lines.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tests::{
    Cluster, Daemons, Load, Node, Output, Programs, Scratch, Writes, assert_clean, run_in, same,
    tables_of,
};

const DB: &str = "db1";

/// How scripts wait that were written for Londiste.
const WAIT_FOR_TABLES: &str = "\
while [ $(replay tables | tail -n+2 | awk '{print $2}' | grep -v ok | wc -l) -ne 0 ]; do
    sleep 1; done";

/// The commands of the `sh` blocks of a page. A line that begins with a blank goes on with the one
/// before; what follows ` #` is a comment.
fn commands(page: &str) -> BTreeSet<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut is_shell = false;
    for line in page.lines() {
        if let Some(info) = line.strip_prefix("```") {
            is_shell = info == "sh";
        } else if is_shell {
            match (line.starts_with(' '), commands.last_mut()) {
                (true, Some(before)) => *before = format!("{before}\n{line}"),
                _ => {
                    let command = line.split(" #").next().unwrap_or_default();
                    commands.push(command.trim_end().to_owned());
                }
            }
        }
    }
    commands.into_iter().collect()
}

/// The manual's tutorial.
fn tutorial() -> BTreeSet<String> {
    commands(include_str!("../../../docs/tutorial.md"))
}

/// The place where the tutorial is played: three hosts with their config files.
struct Place {
    daemons: Daemons,
    provider: Cluster,
    first: Cluster,
    second: Cluster,
    scratch: Scratch,
    tutorial: BTreeSet<String>,
    typed: RefCell<BTreeSet<String>>,
}

impl Place {
    /// Runs one command of the tutorial, as it stands there, in the fresh directory.
    #[track_caller]
    fn types(&self, line: &str) -> Output {
        assert!(
            self.tutorial.contains(line),
            "docs/tutorial.md does not say: {line}"
        );
        self.typed.borrow_mut().insert(line.to_owned());
        self.runs(line)
    }

    /// Runs a command line. `-h host1` and its like are the servers of the test, the first
    /// subscriber's is the local one, and files are in the fresh directory.
    #[track_caller]
    fn runs(&self, line: &str) -> Output {
        println!("$ {line}");
        let hosts = [
            ("-h host1", &self.provider),
            ("-h host2", &self.first),
            ("-h host3", &self.second),
        ];
        let mut line = line.to_owned();
        for (host, cluster) in hosts {
            let folder = cluster.socket_dir().display();
            let here = format!("-h {folder} -p {} -U postgres", cluster.port());
            line = line.replace(host, &here);
        }
        for (there, here) in [("/etc/trunkline/", "etc/"), ("/run/trunkline/", "run/")] {
            line = line.replace(there, here);
        }
        let config = if line.starts_with("ticker") {
            "etc/ticker.toml"
        } else {
            "etc/replay.toml"
        };
        let path = format!(
            "{}:/usr/lib/postgresql/15/bin:{}",
            Programs::get().dir().display(),
            std::env::var("PATH").unwrap()
        );
        let output = run_in(
            Command::new("bash")
                .args(["-c", &line])
                .current_dir(self.scratch.path())
                .env("PATH", path)
                .env("PGHOST", self.first.socket_dir())
                .env("PGPORT", self.first.port().to_string())
                .env("PGUSER", "postgres")
                .env("TRUNKLINE_CONFIG", config),
            Duration::from_secs(180),
        )
        .ok();
        println!("{}{}", output.stdout, output.stderr);
        output
    }

    /// A sample config of etc/ with only connection strings and paths replaced,
    /// and for a second job its name.
    fn config(&mut self, sample: &str, file: &str, job: &str, replaced: &[(&str, &str)]) -> Node {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../etc")
            .join(sample);
        let text = std::fs::read_to_string(path).unwrap();
        let mut missing: Vec<&str> = replaced.iter().map(|(key, _)| *key).collect();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for line in &mut lines {
            let key = line.split('=').next().unwrap_or_default().trim().to_owned();
            if let Some((key, value)) = replaced.iter().find(|(name, _)| *name == key) {
                *line = format!("{key} = \"{value}\"");
                missing.retain(|name| name != key);
            }
            for (sampled, here) in [("/var/log/trunkline", "log"), ("/run/trunkline", "run")] {
                let here = self.scratch.dir(here);
                *line = line.replace(sampled, here.to_str().unwrap());
            }
        }
        assert_eq!(
            missing,
            Vec::<&str>::new(),
            "keys that etc/{sample} does not have"
        );
        let config = self.scratch.file(file, &(lines.join("\n") + "\n"));
        let program = if sample == "ticker.toml" {
            "ticker"
        } else {
            "replay"
        };
        let node = Node::new(program, &self.scratch, &config, job);
        self.daemons.0.push(node.clone());
        node
    }

    /// Nothing is written any more: waits, then compares tables and sequences.
    fn assert_equal(&self, config: &str, subscriber: &Cluster) {
        self.runs(&format!("replay -c {config} wait --timeout 120"));
        let tables = tables_of(&self.provider, DB);
        assert_eq!(tables.len(), 5);
        for table in &tables {
            let digest = same((&self.provider, DB), (subscriber, DB), table);
            println!("{table}: {digest}");
        }
        assert_sequences(&self.provider, subscriber);
    }
}

/// The next value of each sequence is the provider's, or ahead by at most one step.
fn assert_sequences(provider: &Cluster, subscriber: &Cluster) {
    let sequences = provider.psql(
        DB,
        "select quote_ident(schemaname) || '.' || quote_ident(sequencename) || ' ' || increment_by \
         from pg_sequences where schemaname not in ('pgq', 'trunkline') order by 1",
    );
    assert!(sequences.lines().count() >= 3, "{sequences}");
    for line in sequences.lines() {
        let (name, step) = line.rsplit_once(' ').unwrap();
        let step: i64 = step.parse().unwrap();
        let next = |cluster: &Cluster| -> i64 {
            cluster
                .psql(
                    DB,
                    &format!(
                        "select last_value + case when is_called then {step} else 0 end from {name}"
                    ),
                )
                .parse()
                .unwrap()
        };
        // They are kept ahead by a bounded step, and near an end by less.
        tests::wait_until(
            &format!("sequence {name}"),
            Duration::from_secs(120),
            || {
                let ahead = next(subscriber) - next(provider);
                (0..=1000).contains(&(ahead / step))
            },
        );
    }
}

/// An application: customers, orders of theirs, a journal, tags whose keys
/// change, and a table in a schema and with names that need quotes.
const APPLICATION: &str = r#"
    create table customers (id serial primary key, name text not null, balance numeric(12,2) not null default 0);
    create table orders (id bigserial primary key, customer int not null references customers, placed timestamptz not null default now(), note text);
    create index on orders (customer);
    create table journal (id bigint generated by default as identity primary key, line text);
    create table tags (tag text primary key, hits int not null default 0);
    create schema "The App";
    create table "The App"."Jan's ""table""" ("group" int, "Key" text, v jsonb, primary key ("group", "Key"));
    insert into customers (name) select 'customer ' || i from generate_series(1, 2000) i;
    insert into orders (customer, note) select 1 + i % 2000, repeat('x', i % 90) from generate_series(1, 30000) i;
    insert into tags select 'tag ' || i from generate_series(1, 500) i;
    insert into "The App"."Jan's ""table""" select i % 7, 'k' || i, jsonb_build_object('i', i) from generate_series(1, 1000) i;
"#;

fn application() -> Writes {
    Arc::new(|random, number| {
        let customer = random.random_range(1..=2000);
        let tag = random.random_range(1..=500);
        match random.random_range(0..6) {
            0 => format!(
                "insert into orders (customer, note) values ({customer}, 'order {number}'); \
                 update customers set balance = balance + 1.50 where id = {customer}; \
                 insert into journal (line) values (E'a line\\twith \\\\ and \\n and (\"quotes\",)')"
            ),
            1 => format!(
                "update tags set tag = tag || '+', hits = hits + 1 where tag = (select min(tag) from tags where tag like 'tag {tag}%')"
            ),
            2 => format!(
                "delete from orders where id = (select min(id) from orders where customer = {customer})"
            ),
            3 => format!(
                "insert into \"The App\".\"Jan's \"\"table\"\"\" values ({}, 'k{tag}', '{{\"n\": {number}}}') \
                 on conflict (\"group\", \"Key\") do update set v = excluded.v",
                tag % 7
            ),
            4 => format!(
                "insert into customers (name) select 'batch' || i from generate_series(1, {}) i",
                tag % 50
            ),
            _ => format!(
                "update customers set name = name || '.' where id between {customer} and {customer} + 20"
            ),
        }
    })
}

#[test]
fn the_tutorial_runs_as_written_while_writes_go_on() {
    let mut place = Place {
        daemons: Daemons::default(),
        provider: Cluster::start(),
        first: Cluster::start(),
        second: Cluster::start(),
        scratch: Scratch::new(),
        tutorial: tutorial(),
        typed: RefCell::default(),
    };
    place.provider.create_db(DB);
    place.provider.psql(DB, APPLICATION);
    let source = place.provider.conninfo(DB);
    let target = place.first.conninfo(DB);
    let ticker = place.config(
        "ticker.toml",
        "etc/ticker.toml",
        "db1-ticker",
        &[("db", &source)],
    );
    let replay = place.config(
        "replay.toml",
        "etc/replay.toml",
        "db1-replay",
        &[("provider_db", &source), ("subscriber_db", &target)],
    );
    let writers = || {
        Load::start(
            &place.provider,
            DB,
            3,
            Duration::from_millis(5),
            &application(),
        )
    };
    let load = writers();
    load.wait_for_more(100);

    // The provider's host.
    place.types("ticker install");
    place.types("ticker start -d");

    // The subscriber's host. The dump holds the objects of `ticker install`.
    place.types("createdb db1");
    let said = place.types("pg_dump -s -x -O -h host1 db1 | psql -q db1");
    assert_eq!(said.stderr, "");
    place.types("replay install");
    place.types("replay start -d");
    place.types("replay add --all");
    place.types("replay add-seq --all");
    place.types(WAIT_FOR_TABLES);
    place.types("replay wait");
    place.types("replay tables");
    place.types("trunkline status");
    load.wait_for_more(200);
    let totals = load.stop();
    println!("longest transaction {:?}", totals.longest);
    assert_eq!(totals.errors, Vec::<String>::new());
    assert_eq!(totals.disconnects, 0);
    assert!(
        totals.longest < Duration::from_secs(30),
        "a writer waited {:?}",
        totals.longest
    );
    place.assert_equal("etc/replay.toml", &place.first);

    // A second subscriber, later, to the same queue. Now the dump holds the
    // capture triggers too.
    let load = {
        let name = place.second.conninfo(DB);
        let copy = place.config(
            "replay.toml",
            "etc/replay2.toml",
            "db1-replay2",
            &[
                ("job_name", "db1-replay2"),
                ("provider_db", &source),
                ("subscriber_db", &name),
            ],
        );
        assert!(copy.pid().is_none());
        let load = Load::start(
            &place.provider,
            DB,
            3,
            Duration::from_millis(5),
            &application(),
        );
        load.wait_for_more(50);
        place.types("createdb -h host3 db1");
        let said = place.types("pg_dump -s -x -O -h host1 db1 | psql -q -h host3 db1");
        assert_eq!(said.stderr, "");
        place.types("replay -c /etc/trunkline/replay2.toml install");
        place.types("replay -c /etc/trunkline/replay2.toml start -d");
        place.types("replay -c /etc/trunkline/replay2.toml add --all");
        place.types("replay -c /etc/trunkline/replay2.toml add-seq --all");
        place.runs("replay -c /etc/trunkline/replay2.toml wait --timeout 120");
        load
    };
    load.wait_for_more(100);

    // Stopped, more writes, started: it catches up.
    place.types("replay stop");
    assert!(replay.pid().is_none());
    load.wait_for_more(300);
    place.types("replay start -d");
    load.wait_for_more(100);

    // kill -9 of either daemon.
    for round in 0..3 {
        println!("kill -9, round {round}");
        place.types("kill -9 $(cat /run/trunkline/db1-replay.pid)");
        load.wait_for_more(50);
        place.types("kill -9 $(cat /run/trunkline/db1-ticker.pid)");
        load.wait_for_more(50);
        place.types("replay start -d");
        place.types("ticker start -d");
        load.wait_for_more(50);
    }
    let totals = load.stop();
    assert_eq!(totals.errors, Vec::<String>::new());
    assert_eq!(totals.disconnects, 0);
    place.assert_equal("etc/replay.toml", &place.first);
    place.assert_equal("etc/replay2.toml", &place.second);

    // A TRUNCATE, then the end.
    place.provider.psql(
        DB,
        "truncate journal; insert into journal (line) values ('first')",
    );
    place.assert_equal("etc/replay.toml", &place.first);
    place.types("replay wait --timeout 120");
    place.types("replay seqs --sync");
    place.types("replay stop");
    place.types("replay -c /etc/trunkline/replay2.toml stop");
    place.types("ticker stop");
    for node in &place.daemons.0 {
        assert!(node.pid().is_none());
        assert_clean(&node.logfile, &[]);
    }
    assert!(
        ticker.log().contains(" INFO db1-ticker "),
        "{}",
        ticker.log()
    );
    let typed = place.typed.borrow();
    let untyped: Vec<&String> = place.tutorial.difference(&typed).collect();
    assert!(untyped.is_empty(), "not typed here: {untyped:?}");
}

#[test]
fn the_commands_of_readme_are_those_of_the_tutorial() {
    let readme = include_str!("../../../README.md");
    let (_, chapter) = readme
        .split_once("## The tutorial in ten commands")
        .unwrap();
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    let ten = commands(chapter);
    assert_eq!(ten.len(), 10, "{ten:?}");
    let all = tutorial();
    let others: Vec<&String> = ten.difference(&all).collect();
    assert!(others.is_empty(), "not in docs/tutorial.md: {others:?}");
}
