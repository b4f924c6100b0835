//! PgBouncer is pointed at another provider while clients wait, and none of them sees an error.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tests::{Cluster, Output, Pooler, Scratch, run, wait_until};

use crate::{SOON, shipped};

#[test]
fn clients_that_wait_while_pgbouncer_is_paused_go_on_at_the_other_provider() {
    let nodes = [Cluster::start(), Cluster::start()];
    for node in &nodes {
        node.create_db("db1");
        node.psql("db1", "create table t (id int primary key)");
    }
    let pooler = Pooler::start(&nodes[0], "db1", "transaction", 4);
    let scratch = Scratch::new();
    let console = pooler.conninfo("pgbouncer");
    let script = scratch.file(
        "redirect",
        &shipped(
            "redirect-pgbouncer",
            &[
                (
                    "FILE=/etc/pgbouncer/provider.ini",
                    &format!("FILE={}", pooler.included().display()),
                ),
                (
                    "SETTINGS=\"dbname=db1\"",
                    "SETTINGS=\"dbname=db1 user=postgres\"",
                ),
                (
                    "host=/var/run/postgresql port=6432 dbname=pgbouncer",
                    &console,
                ),
            ],
        ),
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let redirect = |name: &str, client: &str| -> Output {
        run(Command::new(&script).args([name, client, "2"]))
    };
    let client = |node: &Cluster| format!("dbname=db1 host=127.0.0.1 port={}", node.port());
    let leads_to = || {
        pooler
            .psql(&nodes[0], "db1", "show port")
            .ok()
            .text()
            .to_owned()
    };
    for hostile in ["", "host=a;b", "host=$(id)", "port=1"] {
        redirect("x", hostile)
            .code(1)
            .says(&["no host in client_db of x"]);
    }
    redirect("castor", &client(&nodes[0])).ok();
    assert_eq!(leads_to(), nodes[0].port().to_string());

    let ended = AtomicBool::new(false);
    let (nodes, pooler) = (&nodes, &pooler);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let ended = &ended;
                scope.spawn(move || {
                    let mut wrote = 0;
                    while !ended.load(Ordering::Relaxed) {
                        let sql = format!("insert into t values ({})", 2 * wrote + writer);
                        pooler.psql(&nodes[0], "db1", &sql).ok();
                        wrote += 1;
                    }
                    wrote
                })
            })
            .collect();
        let rows =
            |node: &Cluster| -> i32 { node.psql("db1", "select count(*) from t").parse().unwrap() };
        wait_until("writes", SOON, || rows(&nodes[0]) > 4);
        pooler.psql(&nodes[0], "pgbouncer", "pause db1").ok();
        let before = rows(&nodes[0]);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(rows(&nodes[0]), before, "it is paused");
        redirect("pollux", &client(&nodes[1])).ok();
        wait_until("writes at the other one", SOON, || rows(&nodes[1]) > 4);
        ended.store(true, Ordering::Relaxed);
        let wrote: i32 = writers.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(rows(&nodes[0]), before);
        assert_eq!(
            before + rows(&nodes[1]),
            wrote,
            "each write is on one of them, once"
        );
    });
    // What is as it should be stays so.
    redirect("pollux", &client(&nodes[1])).ok();
    assert_eq!(leads_to(), nodes[1].port().to_string());
}
