//! `replay uninstall`: what is ours goes, what is the users' stays, and writers do not notice.

use std::time::Duration;

use tests::{Cluster, Load, Replication, Server, Transfers};

/// Everything in a database that names us: schemas, triggers, functions, event triggers, settings.
const OURS: &str = "select count(*) from (\
    select nspname::text from pg_namespace where nspname in ('trunkline', 'pgq', 'pgq_ext', 'pgq_coop') \
     union all select tgname::text from pg_trigger where not tgisinternal and tgname <> 'own' \
     union all select evtname::text from pg_event_trigger \
     union all select proname::text from pg_proc where pronamespace = 'public'::regnamespace and proname <> 'own' \
     union all select setting from pg_db_role_setting, unnest(setconfig) setting) ours";

#[test]
fn op_03_a_job_goes_from_both_sides_and_then_the_provider_is_bare_while_writers_go_on() {
    let replication = Replication::builder()
        .provider(Cluster::builder(&Server::version(10)))
        .subscribers(vec![
            Cluster::builder(&Server::version(18)),
            Cluster::builder(&Server::debian15()),
        ])
        .make();
    for cluster in std::iter::once(&replication.provider).chain(&replication.subscribers) {
        Transfers::create(cluster, replication.db());
    }
    replication.start();
    replication
        .replay
        .run(&["add", "--all", "--truncate", "--wait"])
        .ok();
    let (provider, db) = (&replication.provider, replication.db());
    let load = Load::start(
        provider,
        db,
        2,
        Duration::from_millis(5),
        &Transfers::writes(),
    );
    load.wait_for_more(20);
    let uninstall = |args: &[&str]| {
        let args = [&["uninstall"], args].concat();
        replication.replay.run(&args)
    };
    // Neither beside the daemons, nor where others would lose something.
    uninstall(&[])
        .code(5)
        .says(&["a daemon is at work", "replay stop"]);
    uninstall(&["--subscriber", "s3"]).code(2);
    replication.replay.run(&["stop"]).ok();
    uninstall(&["--provider"])
        .code(3)
        .says(&["consumer replay1/s1 reads queue q1"]);
    let consumers = "select coalesce(string_agg(co_name, ',' order by co_name), '') from pgq.consumer \
        join pgq.subscription on sub_consumer = co_id";
    assert_eq!(replication.on_provider(consumers), "replay1/s1,replay1/s2");

    // One of two: the other goes on, and so does capture.
    uninstall(&["--subscriber", "s1"]).ok();
    let on = |number: usize, sql: &str| replication.subscribers[number].psql(db, sql);
    assert_eq!(on(0, OURS), "0");
    assert_ne!(on(1, OURS), "0");
    assert_eq!(replication.on_provider(consumers), "replay1/s2");
    assert!(
        uninstall(&["--subscriber", "s1"])
            .ok()
            .stdout
            .contains("subscriber s1: nothing of ours is there")
    );
    load.wait_for_more(20);
    let captured = "select count(*) from trunkline.captured";
    assert_eq!(replication.on_provider(captured), "2");

    assert!(
        uninstall(&[])
            .ok()
            .stdout
            .contains("replay uninstall --provider")
    );
    assert_eq!(on(1, OURS), "0");
    assert_eq!(replication.on_provider(captured), "0");
    assert_eq!(replication.on_provider(consumers), "");
    load.wait_for_more(20);

    // What users have built on the queue is named, and goes only with --force.
    replication.on_provider(
        "select pgq.register_consumer('q1', 'mailer'); \
         create view own as select queue_name from pgq.queue; \
         create table logged (id int primary key, v int); \
         create trigger own after insert on logged for each row execute procedure pgq.logutriga('q1'); \
         create table typed (e pgq.event_template)",
    );
    uninstall(&["--provider"])
        .code(3)
        .says(&["consumer mailer reads queue q1", "--force"]);
    replication.on_provider("select pgq.unregister_consumer('q1', 'mailer')");
    uninstall(&["--provider", "--force"])
        .code(5)
        .says(&["ticker stop"]);
    replication.ticker.run(&["stop"]).ok();
    uninstall(&["--provider"]).code(3).says(&[
        "trigger own on public.logged",
        "rule \"_RETURN\" on public.own",
        "table column public.typed.e",
    ]);
    let there = "select to_regclass('pgq.queue') is not null";
    assert_eq!(replication.on_provider(there), "t");
    assert!(
        uninstall(&["--provider", "--force"])
            .ok()
            .stdout
            .contains("the roles pgq_reader, pgq_writer and pgq_admin stay")
    );
    assert_eq!(replication.on_provider(OURS), "0");
    assert!(
        uninstall(&["--provider"])
            .ok()
            .stdout
            .contains("nothing of ours is there")
    );
    load.wait_for_more(20);
    let totals = load.stop();
    assert_eq!(totals.errors, Vec::<String>::new());
    assert!(
        totals.longest < Duration::from_secs(30),
        "{:?}",
        totals.longest
    );

    // The same config begins anew.
    replication.start();
    replication
        .replay
        .run(&["add", "checking", "savings", "--truncate", "--wait"])
        .ok();
}

#[test]
fn op_03_without_its_provider_a_subscriber_is_left_by_force_and_what_stays_is_said() {
    let replication = Replication::running("create table t (id int primary key, v text)");
    replication.replay.run(&["stop"]).ok();
    replication.on_subscriber("create index by_v on t (v)");
    let uninstall = |args: &[&str]| {
        let args = [&["uninstall"], args].concat();
        replication.replay.run(&args)
    };
    // What a copy took away is known to nobody else.
    replication.on_subscriber(
        "insert into t values (1, 'a'), (2, 'a'); \
         insert into trunkline.kept_ddl (consumer, schema_name, table_name, kind, name, on_schema, on_table, bytes, build, attach) \
         values ('replay1', 'public', 't', 'index', 'u', 'public', 't', 0, array['create unique index u on public.t (v)'], '{}')",
    );
    uninstall(&[])
        .code(3)
        .says(&["u on public.t", "is not brought back", "replay restore-ddl"]);
    replication.on_subscriber("delete from t where id = 2");
    replication.replay.run(&["restore-ddl"]).ok();
    replication.provider.stop(tests::Stop::Immediate);
    uninstall(&[])
        .code(3)
        .says(&["--force", "consumer unregister"]);
    assert_ne!(replication.on_subscriber(OURS), "0");
    uninstall(&["--force"])
        .code(1)
        .says(&["left at the provider: consumer replay1"]);
    assert_eq!(replication.on_subscriber(OURS), "0");
    assert_eq!(
        replication.on_subscriber("select count(*) from pg_index where indexrelid = 'u'::regclass"),
        "1"
    );
    assert_eq!(
        replication
            .on_subscriber("select count(*) from pg_index where indexrelid = 'by_v'::regclass"),
        "1"
    );
}
