//! A link that drops every packet: sessions notice it by themselves, by the time-outs that connections have if nobody
//! says otherwise.

use std::time::{Duration, Instant};

use sql::connect::{ApplicationName, ConnectInfo, Purpose, Session};
use tests::{Cluster, Stop};

use crate::{
    has_namespaces,
    namespace::{Net, address},
};

/// What is promised.
const NOTICED: Duration = Duration::from_secs(30);

async fn session(info: &ConnectInfo, name: &str) -> Session {
    let name = ApplicationName::new(Purpose::Status, name);
    info.connect(&name).await.unwrap()
}

/// How long it takes a statement to fail.
async fn fails(session: &Session, sql: &str) -> Duration {
    let started = Instant::now();
    let ended = tokio::time::timeout(2 * NOTICED, session.batch_execute(sql)).await;
    assert!(ended.expect("it ends").is_err(), "{sql}");
    started.elapsed()
}

#[test]
fn a_dead_link_is_noticed_within_half_a_minute_by_who_waits_who_writes_and_who_is_idle() {
    if !has_namespaces() {
        return;
    }
    let net = Net::of(2);
    let cluster = Cluster::start();
    cluster.stop(Stop::Fast);
    cluster.append("postgresql.conf", "listen_addresses = '*'\n");
    cluster.append("pg_hba.conf", "host all all 10.9.7.0/24 trust\n");
    net.hosts[0].enter(|| cluster.start_again());
    let server = address(0);
    let text = format!(
        "host={server} port={} user=postgres dbname=postgres",
        cluster.port()
    );
    let info: ConnectInfo = text.parse().unwrap();
    net.hosts[1].enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let waits = session(&info, "waits").await;
            let writes = session(&info, "writes").await;
            let idle = session(&info, "idle").await;
            let cut = async {
                // The statement that waits has come to the server by then.
                tokio::time::sleep(Duration::from_secs(1)).await;
                net.cut(0);
                let noticed = async {
                    let started = Instant::now();
                    while !idle.is_closed() {
                        assert!(
                            started.elapsed() < 2 * NOTICED,
                            "the idle session notices nothing"
                        );
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    started.elapsed()
                };
                futures::future::join(fails(&writes, "select 1"), noticed).await
            };
            let (waited, (wrote, idled)) =
                futures::future::join(fails(&waits, "select pg_sleep(600)"), cut).await;
            for (who, took) in [("waits", waited), ("writes", wrote), ("is idle", idled)] {
                // One second is that before the cut.
                assert!(
                    took < NOTICED + Duration::from_secs(1),
                    "who {who}: {took:?}"
                );
            }
        });
    });
    net.heal(0);
}
