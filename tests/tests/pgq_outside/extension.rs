//! Packages are built, unpacked into a server, created as extensions, dumped and restored, and upgraded.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Cluster, Output, Programs, Scratch, Server, choose, run};

use crate::repository;

/// Members of an extension that are in none, of our schemas: what CREATE EXTENSION made and does not own.
const LOOSE: &str = "select count(*) from (select oid, pronamespace from pg_proc union all select oid, relnamespace \
     from pg_class where relkind in ('r', 'S')) o (oid, namespace) join pg_namespace n on n.oid = o.namespace \
     where n.nspname in ('pgq', 'pgq_coop', 'pgq_ext', 'trunkline') and not exists \
     (select from pg_depend d where d.objid = o.oid and d.deptype in ('e', 'i', 'a'))";

/// Of these, those that no queue and no table was the reason for.
const LOOSE_STATIC: &str = "select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
     where n.nspname in ('pgq', 'pgq_coop', 'pgq_ext', 'trunkline') and p.proname !~ '_[0-9]+(_|$)' and not exists \
     (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')";

/// Builds the packages of these servers.
fn packages(scratch: &Scratch, versions: &str) -> PathBuf {
    let out = scratch.dir("deb");
    run(Command::new("make")
        .arg("-s")
        .arg("-C")
        .arg(repository("."))
        .arg("deb")
        .arg(format!("OUT={}", out.display()))
        .arg(format!("VERSIONS={versions}"))
        .arg("PROGRAMS=none")
        .env("COMPRESSION", "none"))
    .ok();
    out
}

fn dpkg(args: &[&str]) -> Output {
    run(Command::new("dpkg-deb").args(args)).ok()
}

fn package(out: &Path, begin: &str) -> String {
    let mut found = std::fs::read_dir(out)
        .unwrap()
        .map(|file| file.unwrap().path());
    let path = found.find(|path| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(begin)
    });
    path.unwrap().display().to_string()
}

fn copy_into(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-r").arg(from.join(".")).arg(to)).ok();
}

/// A server that has the files in its own directory, and what holds them.
fn server_with_files(scratch: &Scratch, major: u32, files: &Path) -> Cluster {
    let (server, directory) = Server::version(major).own_copy(scratch);
    copy_into(files, &directory);
    Cluster::builder(&server).start()
}

fn ticker(cluster: &Cluster, dbname: &str, scratch: &Scratch, args: &[&str]) -> Output {
    let config = scratch.file(
        "ticker.toml",
        &format!(
            "[ticker]\njob_name = \"t1\"\ndb = \"{}\"\nqueues = [\"q1\"]\npidfile = \"{}/t1.pid\"\n",
            cluster.conninfo(dbname),
            scratch.path().display()
        ),
    );
    let program = if args[0] == "install" {
        "ticker"
    } else {
        "trunkline"
    };
    run(Command::new(Programs::get().path(program))
        .arg("-c")
        .arg(config)
        .args(args))
}

#[test]
fn a_package_brings_the_extensions_to_a_server_and_a_dump_of_them_restores() {
    let majors = choose("versions", Server::majors().collect(), vec![10, 18]);
    let scratch = Scratch::new();
    let names: Vec<String> = majors.iter().map(u32::to_string).collect();
    let out = packages(&scratch, &names.join(" "));
    for major in majors {
        let deb = package(&out, &format!("postgresql-{major}-"));
        let root = scratch.dir(&format!("root-{major}"));
        dpkg(&["-x", &deb, root.to_str().unwrap()]);
        let depends = dpkg(&["-f", &deb, "Depends", "Conflicts", "Architecture"]).stdout;
        assert!(
            depends.contains(&format!("Depends: postgresql-{major}\n")),
            "{depends}"
        );
        assert!(
            depends.contains(&format!("Conflicts: postgresql-{major}-pgq3\n")),
            "{depends}"
        );
        assert!(depends.contains("Architecture: all"), "{depends}");
        let files = root.join(format!("usr/share/postgresql/{major}/extension"));
        let cluster = server_with_files(&scratch, major, &files);
        cluster.psql("postgres", "create extension pgq");
        assert!(
            cluster
                .psql("postgres", "select pgq.version()")
                .starts_with("3.")
        );
        // Without the rest there is no saying what it is: the way on is named.
        ticker(&cluster, "postgres", &scratch, &["install"])
            .code(3)
            .says(&["extension pgq", "CREATE EXTENSION trunkline"]);
        // With the cooperating consumers there before the rest, and the targets' notes after it.
        cluster.psql(
            "postgres",
            "create extension pgq_coop; create extension trunkline; create extension pgq_ext",
        );
        assert_eq!(cluster.psql("postgres", LOOSE), "0", "{major}");
        let installed = ticker(&cluster, "postgres", &scratch, &["install"])
            .ok()
            .stdout;
        assert!(installed.contains("nothing to do"), "{installed}");
        assert!(installed.contains("queue q1 made"), "{installed}");
        ticker(&cluster, "postgres", &scratch, &["check", "versions"]).ok();
        // Debian's pg_dump is 15.
        if major <= 15 {
            a_dump_restores(&cluster, &scratch);
        }
    }
}

/// The queue with what is pending in it, to another database of the same server.
fn a_dump_restores(cluster: &Cluster, scratch: &Scratch) {
    cluster.psql(
        "postgres",
        "create table t (id int primary key); insert into t values (1); \
         select pgq.register_consumer('q1', 'c'); \
         select trunkline.add_table('q1', 'c', 'public', 't')",
    );
    cluster.psql(
        "postgres",
        "insert into t values (2); select pgq.insert_event('q1', 'mine', 'one')",
    );
    cluster.psql("postgres", "select pgq.ticker('q1')");
    let file = scratch.path().join("dump.sql");
    run(cluster.client("pg_dump", "postgres").arg("-f").arg(&file)).ok();
    cluster.create_db("restored");
    cluster.psql_file("restored", &file).ok();
    assert_eq!(
        cluster
            .psql("restored", "select node_id from trunkline.node")
            .lines()
            .count(),
        1
    );
    cluster.psql("restored", "select pgq.insert_event('q1', 'mine', 'two')");
    cluster.psql("restored", "select pgq.ticker('q1')");
    assert_eq!(pending(cluster, "restored", "q1"), "one two");
    // Numbers go on: a new queue and a new consumer collide with nothing.
    cluster.psql(
        "restored",
        "select pgq.create_queue('q2'); select pgq.register_consumer('q2', 'd')",
    );
    assert_eq!(
        cluster.psql("restored", "select count(*) from pgq.get_consumer_info()"),
        "2"
    );

    // A schema-only dump leaves nothing of what was made for queues and tables.
    run(cluster
        .client("pg_dump", "postgres")
        .arg("-s")
        .arg("-f")
        .arg(&file))
    .ok();
    cluster.create_db("bare");
    cluster.psql_file("bare", &file).ok();
    let leftovers = "select (select count(*) from pg_trigger where tgrelid = 't'::regclass) || ' ' || \
         (select count(*) from pg_class where relname ~ '^event_[0-9]')";
    assert_ne!(cluster.psql("bare", leftovers), "0 0");
    let installed = ticker(cluster, "bare", scratch, &["install"]).ok().stdout;
    assert!(installed.contains("came with a dump"), "{installed}");
    assert!(installed.contains("queue q1 made"), "{installed}");
    assert_eq!(
        cluster.psql(
            "bare",
            "select count(*) from pg_trigger where tgrelid = 't'::regclass"
        ),
        "0"
    );
    cluster.psql(
        "bare",
        "select pgq.register_consumer('q1', 'c'); select pgq.insert_event('q1', 'mine', 'x')",
    );
    cluster.psql("bare", "select pgq.ticker('q1')");
    assert_eq!(pending(cluster, "bare", "q1"), "x");
}

/// The data of the events that consumer c has not seen, but for capture's own.
fn pending(cluster: &Cluster, dbname: &str, queue: &str) -> String {
    let mut found = Vec::new();
    loop {
        let batch = cluster.psql(dbname, &format!("select pgq.next_batch('{queue}', 'c')"));
        if batch.is_empty() {
            return found.join(" ");
        }
        let events = format!(
            "select ev_data from pgq.get_batch_events({batch}) where ev_type not like 'trunkline.%' order by ev_id"
        );
        found.extend(cluster.psql(dbname, &events).lines().map(str::to_owned));
        cluster.psql(dbname, &format!("select pgq.finish_batch({batch})"));
    }
}

/// A copy of what the files are written from, with another version.
fn older_sources(scratch: &Scratch) -> PathBuf {
    let sources = scratch.dir("sources");
    run(Command::new("cp")
        .arg("-r")
        .arg(repository("sql"))
        .arg(&sources))
    .ok();
    set_version(&sources, "0.0.9");
    sources
}

fn set_version(sources: &Path, version: &str) {
    std::fs::write(
        sources.join("Cargo.toml"),
        format!("[workspace.package]\nversion = \"{version}\"\n"),
    )
    .unwrap();
}

fn write_files(sources: &Path, to: &Path) {
    run(Command::new("sh")
        .arg(sources.join("sql/extension.sh"))
        .arg(to))
    .ok();
}

#[test]
fn op_01_alter_extension_update_brings_an_older_release_up_and_keeps_queues_and_rights() {
    let scratch = Scratch::new();
    let sources = older_sources(&scratch);
    let (server, directory) = Server::version(18).own_copy(&scratch);
    write_files(&sources, &directory);
    let cluster = Cluster::builder(&server).start();
    cluster.psql("postgres", "create extension trunkline cascade");
    cluster.psql(
        "postgres",
        "create role reader login; grant pgq_reader to reader; create table t (id int primary key); \
         select trunkline.create_queue('q'); select pgq.register_consumer('q', 'c'); \
         select trunkline.add_table('q', 'c', 'public', 't'); select pgq.insert_event('q', 'mine', 'before')",
    );

    // The next release: an upgrade step for each extension, and a changed function.
    let steps = sources.join("sql/upgrade");
    let last = std::fs::read_dir(&steps).unwrap().count() - 1;
    let released = format!("0.0.9 {last}\n");
    std::fs::write(sources.join("sql/released.txt"), released).unwrap();
    let step = |number: usize, text: &str| {
        std::fs::write(steps.join(format!("{:04}-try.sql", last + number)), text).unwrap();
    };
    step(
        1,
        "-- component: pgq\nalter table pgq.queue add column queue_tried int4 default 7;\n",
    );
    step(
        2,
        "-- component: provider\nalter table trunkline.captured add column tried int4 default 8;\n",
    );
    let changed = sources.join("sql/pgq/pgq.version.sql");
    let text = std::fs::read_to_string(&changed).unwrap();
    std::fs::write(
        &changed,
        text.replace("3.5-trunkline", "3.5-trunkline-later"),
    )
    .unwrap();
    set_version(&sources, "0.1.1");
    write_files(&sources, &directory);

    // In the wrong order it is refused, and says which is right.
    let wrong = cluster.try_psql("postgres", "alter extension trunkline update");
    wrong.code(1).says(&["ALTER EXTENSION pgq UPDATE"]);
    cluster.psql(
        "postgres",
        "alter extension pgq update; alter extension trunkline update",
    );
    assert_eq!(
        cluster.psql("postgres", "select pgq.version()"),
        "3.5-trunkline-later"
    );
    assert_eq!(
        cluster.psql("postgres", "select queue_tried from pgq.queue"),
        "7"
    );
    assert_eq!(
        cluster.psql("postgres", "select tried from trunkline.captured"),
        "8"
    );
    assert_eq!(
        cluster.psql(
            "postgres",
            "select extversion from pg_extension where extname in ('pgq', 'trunkline') order by 1"
        ),
        "0.1.1\n3.5+trunkline0.1.1"
    );
    assert_eq!(
        cluster.psql(
            "postgres",
            "select distinct step::text || program_version from trunkline.component"
        ),
        format!("{}0.1.1", last + 2)
    );
    assert_eq!(
        cluster.psql(
            "postgres",
            "select has_function_privilege('reader', 'pgq.next_batch(text, text)', 'execute')"
        ),
        "t"
    );
    assert_eq!(
        cluster.psql(
            "postgres",
            "select has_function_privilege('reader', 'pgq.ticker(text)', 'execute')"
        ),
        "f"
    );
    assert_eq!(cluster.psql("postgres", "select count(*) > 1 and bool_and(evtenabled = 'A') from pg_event_trigger where evtname like 'trunkline_%'"),
        "t");
    cluster.psql(
        "postgres",
        "insert into t values (1); select pgq.insert_event('q', 'mine', 'after')",
    );
    cluster.psql("postgres", "select pgq.ticker('q')");
    assert_eq!(pending(&cluster, "postgres", "q"), "before after");
    // What was made for the queue and the table is the dump's to keep, as before.
    let generated = "select count(*) from pg_depend d join pg_proc p on p.oid = d.objid \
                     where d.deptype = 'e' and p.proname ~ '_[0-9]+(_|$)'";
    assert_eq!(cluster.psql("postgres", generated), "0");
    assert_eq!(cluster.psql("postgres", LOOSE_STATIC), "0");

    // The program is of another version than the objects: it changes nothing and says whose turn it is.
    ticker(&cluster, "postgres", &scratch, &["install"])
        .code(3)
        .says(&["use a newer program"]);
    // At the same step, other functions: also.
    cluster.psql(
        "postgres",
        &format!("update trunkline.component set step = {last}"),
    );
    ticker(&cluster, "postgres", &scratch, &["install"])
        .code(3)
        .says(&[
            "ALTER EXTENSION",
            "extension files of this program's version",
        ]);
    let check = ticker(&cluster, "postgres", &scratch, &["check", "versions"]).code(1);
    assert!(check.stdout.contains("alter extension"), "{}", check.stdout);
}
