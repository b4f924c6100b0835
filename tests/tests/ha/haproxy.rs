//! HAProxy leads to the provider alone.

use std::{
    fs::File,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
};

use tests::{Output, Port, Programs, Replication, Stop, run, wait_until};

use crate::{SOON, operator, pair, shipped};

/// A running HAProxy (Debian package `haproxy`) in front of a pair; it ends with this value.
struct Proxy {
    child: Child,
    port: Port,
}

impl Proxy {
    fn start(pair: &Replication) -> Proxy {
        let (scratch, port) = (&pair.scratch, Port::take());
        let configs = scratch.dir("checks");
        std::fs::copy(&pair.ticker.config, configs.join("castor.toml")).unwrap();
        std::fs::copy(&pair.replay.config, configs.join("pollux.toml")).unwrap();
        let trunkline = Programs::get().path("trunkline");
        let check = scratch.file(
            "haproxy-check",
            &shipped(
                "haproxy-check",
                &[
                    ("exec trunkline", &format!("exec {}", trunkline.display())),
                    ("/etc/trunkline/", &format!("{}/", configs.display())),
                ],
            ),
        );
        std::fs::set_permissions(&check, std::fs::Permissions::from_mode(0o755)).unwrap();
        let at = |cluster: &tests::Cluster| format!("127.0.0.1:{}", cluster.port());
        let config = scratch.file(
            "haproxy.cfg",
            &shipped(
                "haproxy.cfg",
                &[
                    ("bind :5000", &format!("bind 127.0.0.1:{}", port.number())),
                    ("castor:5432", &at(&pair.provider)),
                    ("pollux:5432", &at(&pair.subscribers[0])),
                    ("/etc/trunkline/haproxy-check", &check.display().to_string()),
                ],
            ),
        );
        let log = File::create(scratch.path().join("haproxy.log")).unwrap();
        let pid = scratch.dir("run").join("haproxy.pid");
        let child = Command::new("/usr/sbin/haproxy")
            .arg("-db")
            .arg("-f")
            .arg(config)
            .arg("-p")
            .arg(pid)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("haproxy is installed: apt-get install haproxy");
        Proxy { child, port }
    }

    fn psql(&self, pair: &Replication, sql: &str) -> Command {
        let mut psql = pair.provider.client("psql", pair.db());
        let to = format!(
            "host=127.0.0.1 port={} dbname={} user=postgres connect_timeout=10",
            self.port.number(),
            pair.db()
        );
        psql.args(["-XAtq", "-d", &to, "-c", sql]);
        psql
    }

    /// The port of the server that a new connection comes to; none: it comes to none.
    fn leads_to(&self, pair: &Replication) -> Option<u16> {
        let Output { code, stdout, .. } = run(&mut self.psql(pair, "show port"));
        (code == 0).then(|| stdout.trim().parse().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn haproxy_leads_to_the_provider_and_cuts_what_was_open_when_it_is_fenced() {
    let pair = pair();
    let proxy = Proxy::start(&pair);
    let provider = pair.provider.port();
    // Until its first check a server counts as up, and they take turns.
    wait_until("connections to come to the provider alone", SOON, || {
        (0..4).all(|_| proxy.leads_to(&pair) == Some(provider))
    });
    let write = |sql: &str| run(&mut proxy.psql(&pair, sql)).code;
    wait_until("a write to be taken", SOON, || {
        write("insert into t values (2, 'b') on conflict do nothing") == 0
    });
    // The standby is no server, however level it is; and a dead ticker takes nothing away from the provider.
    pair.sync();
    pair.ticker.kill9();
    // A check by a program may take too long on a busy machine, and is made again.
    wait_until("connections to come to the provider still", SOON, || {
        proxy.leads_to(&pair) == Some(provider)
    });
    let mut open = proxy
        .psql(&pair, "select pg_sleep(600)")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the session to be open", SOON, || {
        pair.on_provider("select count(*) from pg_stat_activity where query like '%pg_sleep(600)' and pid <> pg_backend_pid()")
            == "1"
    });
    operator(&pair).run(&["fence", "q1"]).ok();
    wait_until("the open session to be cut", SOON, || {
        open.try_wait().unwrap().is_some()
    });
    assert_eq!(proxy.leads_to(&pair), None, "nobody takes writes");
    operator(&pair).run(&["unfence", "q1"]).ok();
    wait_until("connections to come to the provider again", SOON, || {
        proxy.leads_to(&pair) == Some(provider)
    });
    pair.provider.stop(Stop::Immediate);
    wait_until("the dead provider to be no server", SOON, || {
        proxy.leads_to(&pair).is_none()
    });
    pair.provider.start_again();
    wait_until("connections to come to it again", SOON, || {
        proxy.leads_to(&pair) == Some(provider)
    });
}
