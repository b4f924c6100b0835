//! A copy whose provider, or the way to it, breaks half way (SY-05, FA-09).

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tests::{Replication, wait_until};

use crate::SOON;

/// Passes connections on to a server until it is cut.
struct Way {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// New connections are refused.
    cut: AtomicBool,
    next: AtomicU64,
    open: Mutex<HashMap<u64, (TcpStream, TcpStream)>>,
}

impl Way {
    fn to(port: u16) -> Way {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let way = Way {
            port: listener.local_addr().unwrap().port(),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&way.shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !shared.cut.load(Ordering::SeqCst)
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", port))
                {
                    pass_on(&shared, client, server);
                }
            }
        });
        way
    }

    /// Ends all connections and lets no new one through, for the time of the closure.
    fn cut_while(&self, what: impl FnOnce()) {
        self.shared.cut.store(true, Ordering::SeqCst);
        for (_, (client, server)) in self.shared.open.lock().unwrap().drain() {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
        what();
        self.shared.cut.store(false, Ordering::SeqCst);
    }
}

fn pass_on(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) {
    let number = shared.next.fetch_add(1, Ordering::SeqCst);
    let both = (client.try_clone().unwrap(), server.try_clone().unwrap());
    shared.open.lock().unwrap().insert(number, both);
    for (mut from, mut to) in [
        (client.try_clone().unwrap(), server.try_clone().unwrap()),
        (server, client),
    ] {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count) = from.read(&mut buffer)
                && count > 0
                && to.write_all(&buffer[..count]).is_ok()
            {}
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            shared.open.lock().unwrap().remove(&number);
        });
    }
}

const ALLOWED: [&str; 7] = [
    "a part of a copy is loaded again",
    "a table's task waits",
    "subscriber waits",
    "table tasks wait",
    "not cleared away yet",
    "listen",
    "database waits",
];

/// Copies a large table, breaks something when the first part is in, and goes on.
fn copied_although(through: bool, breaks: impl Fn(&Replication, &Way)) {
    let replication = Replication::builder().make();
    let way = Way::to(replication.provider.port());
    if through {
        let text = std::fs::read_to_string(&replication.replay.config).unwrap();
        let (before, after) = text.split_once("provider_db").unwrap();
        let port = format!("port={}", replication.provider.port());
        let after = after.replacen(&port, &format!("port={}", way.port), 1);
        std::fs::write(
            &replication.replay.config,
            format!("{before}provider_db{after}"),
        )
        .unwrap();
    }
    replication.on_provider(
        "create table t (id int primary key, v text); create index on t (v); \
         insert into t select i, repeat('v', 100) from generate_series(1, 250000) i",
    );
    replication.copy_schema();
    replication.start();
    let held = tests::Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "insert into trunkline.copied_range values ('replay1', 'public', 't', 1)",
    );
    replication.replay.run(&["add", "t"]).ok();
    wait_until("a part to be in", SOON, || {
        replication.on_subscriber("select count(*) >= 1 from trunkline.copied_range") == "t"
    });
    replication.on_provider("update t set v = 'changed' where id % 10 = 0");
    breaks(&replication, &way);
    drop(held);
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber("select count(*) from pg_indexes where tablename = 't'"),
        "2"
    );
    tests::assert_clean(&replication.replay.logfile, &ALLOWED);
}

#[test]
fn fa_09_a_copy_goes_on_after_the_network_was_cut() {
    copied_although(true, |replication, way| {
        way.cut_while(|| {
            wait_until("the cut to be noticed", SOON, || {
                replication.replay.log().contains("WARN")
            });
            replication.on_provider("delete from t where id % 1000 = 1");
        });
    });
}

#[test]
fn sy_05_a_copy_goes_on_after_the_provider_has_crashed() {
    copied_although(false, |replication, _| {
        replication.provider.kill9();
        replication.provider.start_again();
    });
}
