//! Whose our schemas are: nothing in a schema of a stranger is called or read, whatever it is called and whoever asks
//! (A1, A2, A3).

use std::time::Duration;

use sql::connect::{ApplicationName, ConnectInfo, Purpose};
use sql::install::ownership::{self, Schema};
use tests::{Cluster, Daemons, Node, Scratch, trap, wait_until};

const SOON: Duration = Duration::from_secs(120);

/// Functions and views with the names of PgQ's and ours, each with the trap in it, in schemas of the trap's owner.
const PREPARED: &str = "
    create schema pgq; create schema trunkline;
    create function pgq.queues_to_tick(text) returns setof text language sql as $$ select trap.spring('pgq.queues_to_tick'); select 'q' $$;
    create function pgq.ticker(text) returns bigint language sql as $$ select trap.spring('pgq.ticker'); select 1::bigint $$;
    create function pgq.ticker() returns bigint language sql as $$ select trap.spring('pgq.ticker()'); select 1::bigint $$;
    create function pgq.maint_retry_events() returns int4 language sql as $$ select trap.spring('pgq.maint_retry_events'); select 0 $$;
    create function pgq.maint_operations(out func_name text, out func_arg text) returns setof record language sql as
        $$ select trap.spring('pgq.maint_operations'); select 'pgq.maint_retry_events'::text, null::text $$;
    create function pgq.get_queue_info(out queue_name text, out queue_ntables int4) returns setof record language sql as
        $$ select trap.spring('pgq.get_queue_info'); select 'q'::text, 3 $$;
    create view pgq.queue as select 'q'::text as queue_name, trap.yes('pgq.queue', 1) as queue_epoch;
    create view pgq.subscription as select trap.yes('pgq.subscription', 1) as sub_id;
    create function trunkline.upkeep(bool) returns setof text language sql as $$ select trap.spring('trunkline.upkeep'); select 'x'::text $$;
    create function trunkline.create_queue(text) returns int4 language sql as $$ select trap.spring('trunkline.create_queue'); select 1 $$;
    create view trunkline.component as select 'base'::text as name, 1 as step, 'x'::text as digest, 'x'::text as program_version
        where trap.yes('trunkline.component', 1);
    create view trunkline.node as select 1 as node_id where trap.yes('trunkline.node', 1);
    create view trunkline.position as select 'replay1_s1'::text as consumer where trap.yes('trunkline.position', 1)";

/// A server with a database of the trap's owner, prepared.
fn prepared() -> Cluster {
    let cluster = Cluster::start();
    cluster.psql("postgres", "create role trapper login");
    cluster.psql("postgres", "create database his owner trapper");
    trap::lay(&cluster, "his");
    trap::as_trapper(&cluster, "his", PREPARED);
    // Its settings are its owner's, too.
    trap::as_trapper(
        &cluster,
        "his",
        "alter database his set search_path = trap, pgq, trunkline, pg_catalog",
    );
    cluster
}

/// The config of a ticker with further lines, of database postgres where these do not say another.
fn ticker(scratch: &Scratch, cluster: &Cluster, job: &str, lines: &str) -> Node {
    let config = scratch.file(
        &format!("etc/{job}.toml"),
        &format!(
            "[ticker]\njob_name = \"{job}\"\ndb = \"{}\"\nretry_delay = 1\nmaint_delay = 1\n\
             logfile = \"{}/%(job_name)s.log\"\npidfile = \"{}/%(job_name)s.pid\"\n{lines}",
            cluster.conninfo("postgres"),
            scratch.dir("log").display(),
            scratch.dir("run").display()
        ),
    );
    Node::new("ticker", scratch, &config, job)
}

/// The trap was nowhere sprung.
#[track_caller]
fn assert_untouched(cluster: &Cluster) {
    assert_eq!(trap::sprung(cluster), Vec::<String>::new());
    trap::assert_held(cluster);
}

/// The log of a daemon gets a line of ERROR that holds all of this.
#[track_caller]
fn wait_error(node: &Node, words: &[&str]) {
    wait_until(&format!("an ERROR with {words:?}"), SOON, || {
        node.log().lines().any(|line| {
            line.split_whitespace().nth(1) == Some("ERROR")
                && words.iter().all(|word| line.contains(word))
        })
    });
}

#[test]
fn a1_a_ticker_of_all_databases_leaves_out_the_one_whose_schema_pgq_is_a_strangers() {
    let (cluster, scratch) = (prepared(), Scratch::new());
    let named = ticker(
        &scratch,
        &cluster,
        "named",
        "databases = [\"ours\"]\nqueues = [\"q\"]\n",
    );
    cluster.create_db("ours");
    named.run(&["install"]).ok();
    let all = Daemons(vec![ticker(
        &scratch,
        &cluster,
        "all",
        "databases = \"all\"\n",
    )]);
    let all = &all.0[0];
    all.run(&["start", "-d"]);
    wait_error(
        all,
        &["his", "schema pgq", "belongs to role trapper", "postgres"],
    );
    wait_until("a tick of the database beside it", SOON, || {
        cluster.psql("ours", "select count(*) > 1 from pgq.tick") == "t"
    });
    // One that names the database does no more than one that finds it.
    let his = Daemons(vec![ticker(
        &scratch,
        &cluster,
        "his",
        "databases = [\"his\"]\n",
    )]);
    his.0[0].run(&["start", "-d"]);
    wait_error(&his.0[0], &["his", "belongs to role trapper"]);
    for node in [all, &his.0[0]] {
        for command in [
            &["status"][..],
            &["install"],
            &["install", "--upgrade-from-pgq"],
        ] {
            let output = node.run(command);
            assert_ne!(output.code, 0, "{}{}", output.stdout, output.stderr);
            assert!(output.text().contains("trapper") || output.stderr.contains("trapper"));
        }
    }
    let trunkline = |args: &[&str]| {
        let mut command = std::process::Command::new(tests::Programs::get().path("trunkline"));
        command.arg("-c").arg(&his.0[0].config).args(args);
        tests::run(&mut command)
    };
    for command in [
        &["status"][..],
        &["check"],
        &["check", "versions"],
        &["queue", "list"],
        &["queue", "create", "q2"],
        &["queue", "drop", "q"],
        &["consumer", "list"],
        &["consumer", "register", "q", "c"],
    ] {
        trunkline(command);
    }
    assert_untouched(&cluster);
}

#[test]
fn a2_an_install_where_the_owner_of_the_database_prepared_our_schemas_reads_nothing_in_them() {
    let (cluster, scratch) = (prepared(), Scratch::new());
    cluster.create_db("ours");
    let ours = ticker(
        &scratch,
        &cluster,
        "ours",
        "databases = [\"ours\"]\nqueues = [\"q1\"]\n",
    );
    ours.run(&["install"]).ok();
    let job = |provider: &str, subscriber: &str| {
        let config = scratch.file(
            "etc/replay1.toml",
            &format!(
                "[replay]\njob_name = \"replay1\"\nprovider_db = \"{}\"\nsubscriber_db = \"{}\"\npgq_queue_name = \"q1\"\n\
                 logfile = \"{}/%(job_name)s.log\"\npidfile = \"{}/%(job_name)s.pid\"\n",
                cluster.conninfo(provider),
                cluster.conninfo(subscriber),
                scratch.dir("log").display(),
                scratch.dir("run").display()
            ),
        );
        Daemons(vec![Node::new("replay", &scratch, &config, "replay1")])
    };
    for (provider, subscriber, schema) in [
        ("ours", "his", "schema trunkline"),
        ("his", "ours", "schema pgq"),
    ] {
        let job = job(provider, subscriber);
        let replay = &job.0[0];
        replay
            .run(&["install"])
            .code(3)
            .says(&[schema, "belongs to role trapper", "hint"]);
        for command in [
            &["status"][..],
            &["tables"],
            &["add", "--all"],
            &["missing"],
            &["wait", "--timeout", "1"],
            &["resync", "public.t"],
            &["skip", "public.t"],
            &["adopt"],
            &["seqs"],
            &["pause"],
            &["restore-ddl"],
            &["remove", "public.t"],
        ] {
            let output = replay.run(command);
            assert_ne!(output.code, 0, "{}", output.command);
        }
        replay.run(&["start", "-d"]);
        wait_error(replay, &["belongs to role trapper"]);
        replay.kill9();
        std::fs::remove_file(&replay.logfile).unwrap();
    }
    assert_untouched(&cluster);
}

#[test]
fn a3_maintenance_reads_and_calls_nothing_of_londistes_that_is_a_strangers() {
    let scratch = Scratch::new();
    let cluster = Cluster::start();
    cluster.psql("postgres", "create role trapper login");
    for database in ["ours", "theirs"] {
        cluster.psql(
            "postgres",
            &format!("create database {database} owner trapper"),
        );
        trap::lay(&cluster, database);
    }
    cluster.psql(
        "theirs",
        "create extension pgq; select pgq.create_queue('q')",
    );
    let node = Daemons(vec![ticker(
        &scratch,
        &cluster,
        "t1",
        "databases = [\"ours\", \"theirs\"]\nqueues = [\"q\"]\n",
    )]);
    let node = &node.0[0];
    // PgQ's own database is not installed over.
    node.run(&["install"]).code(1);
    node.run(&["start", "-d"]).ok();
    for database in ["ours", "theirs"] {
        trap::as_trapper(
            &cluster,
            database,
            "create schema pgq_node; create schema londiste;
             create view pgq_node.node_info as select 'q'::text as queue_name, 'root'::text as node_type where trap.yes('pgq_node.node_info', 1);
             create function pgq_node.maint_watermark(text) returns int4 language sql as $$ select trap.spring('pgq_node.maint_watermark'); select 0 $$;
             create view londiste.seq_info as select 'q'::text as queue_name, true as local where trap.yes('londiste.seq_info', 1);
             create function londiste.root_check_seqs(text) returns int4 language sql as $$ select trap.spring('londiste.root_check_seqs'); select 0 $$;
             create function londiste.periodic_maintenance() returns int4 language sql as $$ select trap.spring('londiste.periodic_maintenance'); select 0 $$",
        );
        // An admin of the queue has more maintenance done.
        cluster.psql(
            database,
            "update pgq.queue set queue_extra_maint = array['pgq_node.maint_watermark', 'londiste.root_check_seqs']",
        );
    }
    for database in ["ours", "theirs"] {
        wait_error(
            node,
            &[database, "schema pgq_node", "belongs to role trapper"],
        );
    }
    // Another program asks what there is to do.
    cluster.psql("ours", "select * from pgq.maint_operations()");
    assert_untouched(&cluster);

    // Whoever may act as everybody is Londiste's owner, too.
    cluster.psql(
        "ours",
        "drop schema pgq_node, londiste cascade; create schema pgq_node; create table seen (what text);
         create table pgq_node.node_info as select 'q'::text as queue_name, 'root'::text as node_type;
         create function pgq_node.maint_watermark(text) returns int4 language sql as $$ insert into public.seen values ($1); select 0 $$",
    );
    wait_until("the watermark to be kept", SOON, || {
        cluster.psql("ours", "select count(*) > 0 from seen where what = 'q'") == "t"
    });
}

#[test]
fn a1_a_trigger_whose_maker_lost_the_right_to_make_it_is_not_run() {
    let (scratch, cluster) = (Scratch::new(), Cluster::start());
    cluster.psql("postgres", "create role trapper login");
    cluster.create_db("ours");
    trap::lay(&cluster, "ours");
    let node = Daemons(vec![ticker(
        &scratch,
        &cluster,
        "t1",
        "databases = [\"ours\"]\nqueues = [\"q\"]\n",
    )]);
    let node = &node.0[0];
    node.run(&["install"]).ok();
    cluster.psql(
        "ours",
        "grant trigger on pgq.tick to trapper; grant usage on schema pgq to trapper;
         create schema pgq_node; create table pgq_node.node_info as select 'q'::text as queue_name, 'root'::text as node_type;
         grant trigger on pgq_node.node_info to trapper; grant usage on schema pgq_node to trapper",
    );
    trap::as_trapper(
        &cluster,
        "ours",
        "create trigger z before insert on pgq.tick for each row execute procedure trap.fire('tick');
         create trigger z before insert on pgq_node.node_info for each row execute procedure trap.fire('node_info')",
    );
    cluster.psql(
        "ours",
        "revoke trigger on pgq.tick, pgq_node.node_info from trapper",
    );
    let may_call = "select pgq._may_call('pgq_node')";
    assert_eq!(cluster.psql("ours", may_call), "f");
    node.run(&["start", "-d"]);
    wait_error(
        node,
        &["relation pgq.tick calls a function of role trapper"],
    );
    assert_untouched(&cluster);
    cluster.psql(
        "ours",
        "drop trigger z on pgq.tick; drop trigger z on pgq_node.node_info",
    );
    assert_eq!(cluster.psql("ours", may_call), "t");
    wait_until("a tick", SOON, || {
        cluster.psql("ours", "select count(*) > 1 from pgq.tick") == "t"
    });
    assert_untouched(&cluster);
}

/// What a stranger could have had a hand in, and what is said of it; empty: it may be used.
const HANDS: &[(&str, &str)] = &[
    ("", ""),
    (
        "alter schema pgq owner to low",
        "schema pgq belongs to role low",
    ),
    (
        "grant create on schema pgq to low",
        "schema pgq takes objects made by role low",
    ),
    (
        "grant create on schema pgq to public",
        "schema pgq takes objects made by everybody",
    ),
    (
        "alter function pgq.f() owner to low",
        "function pgq.f belongs to role low",
    ),
    (
        "alter table pgq.t owner to low",
        "relation pgq.t belongs to role low",
    ),
    (
        "alter view pgq.v owner to low",
        "relation pgq.v belongs to role low",
    ),
    (
        "grant trigger on pgq.t to low",
        "relation pgq.t takes triggers made by role low",
    ),
    (
        "alter domain pgq.d owner to low",
        "type pgq.d belongs to role low",
    ),
    (
        "alter operator pgq.=== (int, int) owner to low",
        "operator pgq.=== belongs to role low",
    ),
    // A member of the session's role has its rights; one whose member it is has not.
    ("grant me to low; alter schema pgq owner to low", ""),
    (
        "grant low to me; alter schema pgq owner to low",
        "schema pgq belongs to role low",
    ),
    (
        "alter schema pgq owner to me; alter function pgq.f() owner to me",
        "",
    ),
    (
        "grant select, insert on pgq.t to low; grant usage on schema pgq to public",
        "",
    ),
    // What is left of a right, or of an owner, that is gone.
    (
        "grant usage on schema pgq to low; grant trigger on pgq.t to low; set role low; \
         create trigger z before insert on pgq.t for each row execute procedure d.fire(); \
         reset role; revoke trigger on pgq.t from low",
        "relation pgq.t calls a function of role low",
    ),
    (
        "alter table pgq.t alter id set default d.same(1)",
        "relation pgq.t calls a function of role low",
    ),
    (
        "alter table pgq.t add check (d.same(id) > 0)",
        "relation pgq.t calls a function of role low",
    ),
    (
        "create index on pgq.t (d.same(id))",
        "relation pgq.t calls a function of role low",
    ),
    (
        "create index on pgq.t (id) where id operator(d.===) 1",
        "relation pgq.t calls a function of role low",
    ),
    (
        "create rule z as on insert to pgq.t do also select d.same(1)",
        "relation pgq.t calls a function of role low",
    ),
    (
        "drop view pgq.v; create view pgq.v as select d.same(1)",
        "relation pgq.v calls a function of role low",
    ),
    (
        "create policy z on pgq.t using (d.same(id) > 0)",
        "relation pgq.t calls a function of role low",
    ),
    (
        "alter table pgq.t add n d.number",
        "relation pgq.t has values of a type of role low",
    ),
    (
        "alter function d.same(int) owner to postgres; alter table pgq.t alter id set default d.same(1)",
        "",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_used_only_if_everybody_with_a_hand_in_it_may_act_as_the_session() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "create role low login; create role me login");
    let of_me = format!(
        "host=127.0.0.1 port={} user=me dbname=postgres",
        cluster.port()
    );
    let name = ApplicationName::new(Purpose::Status, "j");
    let info: ConnectInfo = of_me.parse().unwrap();
    let session = info.connect(&name).await.unwrap();
    for &(hand, said) in HANDS {
        cluster.psql(
            "postgres",
            &format!(
                "create schema pgq; create table pgq.t (id int); create view pgq.v as select 1; create domain pgq.d as int;
                 create function pgq.f() returns int language sql as 'select 1';
                 create operator pgq.=== (procedure = int4eq, leftarg = int, rightarg = int);
                 create schema d authorization low; set role low; create domain d.number as int;
                 create function d.same(int) returns int immutable language sql as 'select $1';
                 create function d.equal(int, int) returns bool immutable language sql as 'select $1 = $2';
                 create operator d.=== (procedure = d.equal, leftarg = int, rightarg = int);
                 create function d.fire() returns trigger language plpgsql as 'begin return new; end';
                 reset role; {hand}"
            ),
        );
        let found = ownership::prove(&*session, &[Schema::Trunkline, Schema::Pgq]).await;
        match found {
            Ok(there) => assert_eq!((there, said), (vec![Schema::Pgq], ""), "{hand}"),
            Err(error) => {
                let text = error.to_string();
                assert!(!said.is_empty() && text.contains(said), "{hand}: {text}");
                assert!(text.contains("may not act as me"), "{text}");
                let refused = info.connect_for(&name, Schema::QUEUE).await;
                let text = refused.unwrap_err().to_string();
                assert!(text.contains(said) && text.contains("postgres"), "{text}");
            }
        }
        cluster.psql(
            "postgres",
            "drop schema pgq, d cascade; revoke me from low; revoke low from me",
        );
    }
    let missing = info.connect_for(&name, Schema::PROVIDER).await;
    let text = missing.unwrap_err().to_string();
    assert!(text.contains("schema pgq is not installed"), "{text}");
}
