//! A small batch takes two round trips to the subscriber, and is whole or not there. The way there
//! is a relay that lets an answer through when the client has nothing more to say.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tests::Replication;

/// A client that says nothing for so long waits for an answer.
const QUIET: Duration = Duration::from_millis(60);

const BEGIN: &[u8] = b"begin isolation";
const COMMIT: &[u8] = b"commit\0";

#[derive(Default)]
struct Heard {
    /// What the batch loop's session has said between two answers.
    said: Mutex<Vec<Vec<u8>>>,
    /// The next `begin` with a row that says `marked` arrives as something that the server does not know.
    spoil: AtomicBool,
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

impl Heard {
    /// Round trips of each batch: from its `begin` to its `commit`.
    fn batches(&self) -> Vec<usize> {
        let (mut begun, mut trips) = (None, Vec::new());
        for (number, said) in self.said.lock().unwrap().iter().enumerate() {
            if holds(said, BEGIN) {
                begun = Some(number);
            }
            if holds(said, COMMIT) {
                trips.extend(begun.take().map(|begun| number - begun + 1));
            }
        }
        trips
    }

    fn spoiled(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let place = bytes
            .windows(BEGIN.len())
            .position(|window| window == BEGIN);
        if let Some(place) = place
            && holds(&bytes, b"marked")
            && self.spoil.swap(false, Ordering::SeqCst)
        {
            bytes[place..place + 5].copy_from_slice(b"bogus");
        }
        bytes
    }

    /// Takes turns: all that the client says, then all that the server says.
    fn relay(&self, mut client: TcpStream, mut server: TcpStream) {
        client.set_read_timeout(Some(QUIET)).unwrap();
        let mut is_apply = None;
        loop {
            let Some(said) = all_of(&mut client) else {
                return;
            };
            if holds(&said, b"application_name") {
                is_apply = Some(holds(&said, b"trunkline apply "));
                server
                    .set_read_timeout(Some(Duration::from_millis(5)))
                    .unwrap();
                client
                    .set_read_timeout(Some(if is_apply == Some(true) {
                        QUIET
                    } else {
                        Duration::from_millis(2)
                    }))
                    .unwrap();
            }
            if !said.is_empty() && server.write_all(&self.spoiled(said.clone())).is_err() {
                return;
            }
            if is_apply == Some(true) && !said.is_empty() {
                self.said.lock().unwrap().push(said);
            }
            let Some(answer) = all_of(&mut server) else {
                return;
            };
            if !answer.is_empty() && client.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

/// What comes until nothing comes any more; none at the end.
fn all_of(from: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return None,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Some(all);
            }
            Err(_) => return None,
        }
    }
}

/// A replication of two tables whose subscriber is reached over the relay.
fn over_relay() -> (Replication, Arc<Heard>) {
    let replication = Replication::builder().make();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let relay = listener.local_addr().unwrap().port();
    let to = replication.subscribers[0].port();
    let heard = Arc::new(Heard::default());
    let shared = Arc::clone(&heard);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if let Ok(server) = TcpStream::connect(("127.0.0.1", to)) {
                server
                    .set_read_timeout(Some(Duration::from_millis(20)))
                    .unwrap();
                let heard = Arc::clone(&shared);
                std::thread::spawn(move || heard.relay(client, server));
            }
        }
    });
    let text = std::fs::read_to_string(&replication.replay.config).unwrap();
    let text = text.replace(&format!("port={to}"), &format!("port={relay}"));
    std::fs::write(&replication.replay.config, text).unwrap();
    replication.on_provider(
        "create table t (id int primary key, v text); create table u (id int primary key, v text)",
    );
    replication.copy_schema();
    replication.start();
    replication.add_all();
    (replication, heard)
}

#[test]
fn a_small_batch_takes_two_round_trips_to_the_subscriber() {
    let (replication, heard) = over_relay();
    // A client that stalls is taken for one that waits: one batch of the many is enough.
    for n in 1.. {
        replication.on_provider(&format!(
            "begin; insert into t values ({n}, 'new'); insert into u values ({n}, 'new'); \
             update t set v = 'newer' where id < {n}; delete from u where id = {n} - 3; commit"
        ));
        replication.sync();
        let trips = heard.batches();
        if n >= 8 && trips.iter().min() == Some(&2) {
            break;
        }
        assert!(n < 60, "{trips:?}");
    }
    // One that is not as it says goes the careful way, after the same begin.
    replication.on_subscriber("delete from t where id = 1");
    replication.on_provider("update t set v = 'put back' where id <= 2");
    replication.sync();
    let trips = heard.batches();
    assert!(trips.len() >= 8, "{trips:?}");
    assert_eq!(trips.iter().min(), Some(&2), "{trips:?}");
    assert_eq!(
        replication.on_subscriber("select conflicts from trunkline.position"),
        "1"
    );
    replication.assert_followed(&["conflict"]);
}

#[test]
fn nothing_of_a_batch_is_written_if_its_transaction_did_not_begin() {
    let (replication, heard) = over_relay();
    heard.spoil.store(true, Ordering::SeqCst);
    // The first batch of a table is no small one yet, and a client that stalls says `begin` by itself.
    for n in 1.. {
        assert!(n < 50, "no batch began with its rows");
        replication.on_provider(&format!(
            "begin; insert into t values ({n}, 'marked'); insert into u values ({n}, 'marked'); commit"
        ));
        replication.sync();
        if !heard.spoil.load(Ordering::SeqCst) {
            break;
        }
    }
    let refused = replication.subscribers[0].log();
    for refused_one in ["INSERT", "UPDATE"] {
        let line = format!("cannot execute {refused_one} in a read-only transaction");
        assert!(refused.contains(&line), "{line}: {refused}");
    }
    replication.assert_no_conflicts();
    replication.assert_followed(&["could not begin on the subscriber", "subscriber waits"]);
}
