//! An encrypted archive without a server: whoever has the identity reads it, and nobody else.

use std::{
    fs,
    io::{Read as _, Write as _},
};

use age::{secrecy::ExposeSecret as _, x25519::Identity};

use super::*;
use crate::archive::{
    store::Store,
    tests::{Made, Part},
    verify::{self, Depth},
};

/// An identity: the text of its file, and its public key.
fn identity() -> (String, String) {
    let identity = Identity::generate();
    let secret = identity.to_string().expose_secret().to_owned();
    (
        format!("# a remark\n\n{secret}\n"),
        identity.to_public().to_string(),
    )
}

fn recipients(keys: &[&String]) -> Recipients {
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    Recipients::read(&keys).unwrap()
}

/// What verify says of an archive, and how many segments nobody opened.
fn verified(store: &Store, made: &Made) -> (Vec<String>, u64) {
    let found = verify::archive(store, &made.opened().1, Depth::Bodies).unwrap();
    let faults = found.faults.into_iter();
    let faults = faults.map(|one| format!("{}: {}", one.object, one.what));
    (faults.collect(), found.closed)
}

/// The archive's objects, opened by a file of these identities.
fn opened(made: &Made, text: &str) -> Store {
    let file = made.root().with_extension("key");
    fs::write(&file, text).unwrap();
    made.store().opened_by(Some(&file)).unwrap()
}

#[test]
fn bytes_that_are_sealed_to_two_are_opened_by_each_of_them_and_by_nobody_else() {
    let (one, other, third) = (identity(), identity(), identity());
    let to = recipients(&[&one.1, &other.1]);
    let plain: Vec<u8> = (0..200_000_u32).map(|at| (at * 7) as u8).collect();
    let mut sealing = to.seal(Vec::new()).unwrap();
    sealing.write_all(&plain).unwrap();
    let stored = sealing.finish().unwrap();
    assert!(stored.len() > plain.len());
    let read = |text: &str, sealed: &[String], stored: &[u8]| {
        let made = Made::new();
        let store = opened(&made, text);
        let mut bytes = Vec::new();
        let mut opening = store.identities().open(sealed, stored)?;
        opening.read_to_end(&mut bytes).map(|_| bytes)
    };
    for (text, _) in [&one, &other] {
        assert_eq!(read(text, &to.keys(), &stored).unwrap(), plain);
    }
    let both = format!("{}{}", third.0, other.0);
    assert_eq!(read(&both, &to.keys(), &stored).unwrap(), plain);
    let refused = read(&third.0, &to.keys(), &stored).unwrap_err();
    assert!(is_closed(&refused), "{refused}");
    assert!(refused.to_string().contains(&one.1), "{refused}");
    assert!(
        refused.to_string().contains("no identity that is given"),
        "{refused}"
    );
    let none = Identities::default();
    let refused = none
        .open(&to.keys(), stored.as_slice())
        .map(|_| ())
        .unwrap_err();
    assert!(refused.to_string().contains("--identity FILE"), "{refused}");
    // What was changed, cut off or is of others is no wrong identity.
    for at in [0, 30, 200, 400, 70_000, stored.len() - 1] {
        let mut flipped = stored.clone();
        flipped[at] ^= 1;
        let bad = read(&one.0, &to.keys(), &flipped).unwrap_err();
        assert!(!is_closed(&bad), "byte {at}: {bad}");
        let bad = read(&one.0, &to.keys(), &stored[..at]).unwrap_err();
        assert!(!is_closed(&bad), "cut at {at}: {bad}");
    }
    // It says that it is for somebody, and is for others.
    let bad = read(&third.0, std::slice::from_ref(&third.1), &stored).unwrap_err();
    assert!(!is_closed(&bad), "{bad}");
}

#[test]
fn a_file_that_has_no_identity_is_refused_by_its_line_and_no_secret_is_repeated() {
    let made = Made::new();
    let file = made.root().with_extension("key");
    let refused = |text: &str| {
        fs::write(&file, text).unwrap();
        made.store().opened_by(Some(&file)).unwrap_err().to_string()
    };
    let secret = identity().0.trim().lines().last().unwrap().to_owned();
    let cut = &secret[..secret.len() - 2];
    for (text, why) in [
        (format!("# one\n{secret}\n{cut}\n"), "line 3 is no identity"),
        (String::new(), "has no identity"),
        ("# nothing\n".into(), "has no identity"),
        (identity().1, "line 1 is no identity"),
        ("age-encryption.org/v1\n...".into(), "is itself encrypted"),
        (
            "-----BEGIN AGE ENCRYPTED FILE-----\n".into(),
            "is itself encrypted",
        ),
    ] {
        let said = refused(&text);
        assert!(said.contains(why), "{said}");
        assert!(said.contains("a.key"), "{said}");
        assert!(!said.contains(&secret[20..40]), "{said}");
    }
    fs::remove_file(&file).unwrap();
    let said = made.store().opened_by(Some(&file)).unwrap_err().to_string();
    assert!(said.contains("No such file"), "{said}");
}

/// Publishes a segment of one event, and gives its path.
fn publish(made: &Made, tick: i64) {
    made.publish(&[Part {
        from: tick,
        to: tick + 1,
        number: 0,
        last: true,
        events: &[(tick, tick * 100 + 50)],
    }]);
}

#[test]
fn a_chain_whose_recipients_change_goes_on_without_an_identity_and_is_read_with_all() {
    let (one, other) = (identity(), identity());
    let mut made = Made::new();
    publish(&made, 1);
    made.recipients = recipients(&[&one.1]);
    publish(&made, 2);
    // A frame that begins in a segment of one, and ends in a segment of another.
    let part = |number, last, event: i64| Part {
        from: 3,
        to: 4,
        number,
        last,
        events: match event {
            30 => &[(30, 350)],
            _ => &[(31, 351)],
        },
    };
    made.publish(&[part(0, false, 30)]);
    made.recipients = recipients(&[&other.1]);
    made.publish(&[part(1, true, 31)]);
    publish(&made, 4);
    made.publish_hole(7);
    // Without an identity hashes are what is checked, and each of them is.
    let (faults, closed) = verified(&made.store(), &made);
    assert_eq!((faults, closed), (Vec::new(), 5));
    let both = format!("{}{}", one.0, other.0);
    assert_eq!(verified(&opened(&made, &both), &made), (Vec::new(), 0));
    // Who gives an identity is told of all that it does not open, and of nothing else.
    for (text, left) in [(&one.0, [4, 5, 6].as_slice()), (&other.0, &[2, 3])] {
        let (faults, closed) = verified(&opened(&made, text), &made);
        assert_eq!(closed, 0);
        assert_eq!(faults.len(), left.len(), "{faults:?}");
        for (fault, seq) in faults.iter().zip(left) {
            assert!(fault.contains(&format!("{seq:08}-")), "{fault}");
            assert!(
                fault.contains("no identity that is given opens it"),
                "{fault}"
            );
        }
    }
    // A byte of a body that nobody opens, and one that is cut off, are found by the hash.
    let path = made.path_of(2, 2);
    let stored = fs::read(&path).unwrap();
    let body = stored.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    assert!(stored[body..].starts_with(b"age-encryption.org/v1\n"));
    for bytes in [
        [
            &stored[..body + 40],
            &[stored[body + 40] ^ 1],
            &stored[body + 41..],
        ]
        .concat(),
        stored[..stored.len() - 1].to_vec(),
    ] {
        fs::write(&path, bytes).unwrap();
        for store in [made.store(), opened(&made, &both)] {
            let (faults, _) = verified(&store, &made);
            assert!(
                faults.len() == 1 && faults[0].contains("00000002-"),
                "{faults:?}"
            );
        }
    }
}
