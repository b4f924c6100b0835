use std::time::Duration;

use sql::{
    queue::{lineage::NodeId, tick::Epoch},
    role::Role,
};

use super::*;
use crate::set::choose::{Host, Place};

const ME: i64 = 1;

fn node(id: i64, role: Option<Role>, term: i64) -> Introduction {
    Introduction {
        node: Some(NodeId(id)),
        name: None,
        started: format!("start of {id}"),
        in_recovery: false,
        role,
        term: role.map(|_| term),
        epoch: Some(Epoch(id)),
        upstream: None,
        ended: false,
        ahead: false,
        members: Vec::new(),
        removed: Vec::new(),
        known_term: (term > 0).then_some(term),
        set: None,
        number: None,
        priority: 100,
        history: Vec::new(),
    }
}

fn below_me(mut one: Introduction) -> Introduction {
    one.upstream = Some(NodeId(ME));
    one
}

/// Which host is named, as the refusal of an own database that has this role.
fn refusal(own: Option<Role>, hosts: Vec<Result<Introduction, Duration>>) -> Option<String> {
    let own = node(ME, own, i64::from(own.is_some()));
    let silent = hosts.iter().enumerate();
    let silent = silent.filter(|(_, said)| said.is_err());
    let silent: Vec<_> = silent.map(|(at, _)| (at, "refused".to_owned())).collect();
    let host = |(at, said)| Host {
        title: format!("host{at}"),
        said,
        last_term: 0,
        place: Place::Unknown,
    };
    let round = Round {
        own: Some(own.clone()),
        epoch: None,
        hosts: hosts.into_iter().enumerate().map(host).collect(),
        current: None,
    };
    known_elsewhere(&own, &round, &silent, "q1").map(|(why, _)| why)
}

#[test]
fn a_set_that_any_host_knows_or_may_know_has_no_second_first_provider() {
    let me = || Ok(node(ME, None, 0));
    let plain = || Ok(node(2, None, 0));
    for (what, hosts, wanted) in [
        ("nobody knows a set", vec![me(), plain()], None),
        (
            "its provider",
            vec![me(), Ok(node(2, Some(Role::Provider), 1))],
            Some("host1 is the provider of set q1"),
        ),
        (
            "a standby whose provider is away",
            vec![Ok(node(3, Some(Role::Standby), 1)), me()],
            Some("host0 is standby for queue q1"),
        ),
        (
            "a fenced provider",
            vec![me(), plain(), Ok(node(3, Some(Role::Fenced), 4))],
            Some("host2 is fenced for queue q1"),
        ),
        (
            "a reader of another node",
            vec![me(), Ok(node(3, Some(Role::Reader), 0))],
            Some("host1 is reader for queue q1"),
        ),
        (
            "a subscriber of this database that knows no set",
            vec![me(), Ok(below_me(node(3, Some(Role::Reader), 0)))],
            None,
        ),
        (
            "a reader that has heard of a provider",
            vec![me(), Ok(below_me(node(3, Some(Role::Reader), 2)))],
            Some("host1 is reader for queue q1"),
        ),
        (
            "a plain database that has heard of one",
            vec![me(), Ok(node(3, None, 2))],
            Some("host1 knows term 2 of set q1"),
        ),
        (
            "silence",
            vec![me(), Err(Duration::ZERO)],
            Some("host1 cannot be asked, and may know a provider of set q1: refused"),
        ),
    ] {
        assert_eq!(refusal(None, hosts).as_deref(), wanted, "{what}");
    }
}

#[test]
fn a_provider_that_is_the_first_one_already_stays_it() {
    let own = Some(Role::Provider);
    let me = || Ok(node(ME, own, 1));
    let standby = || Ok(node(2, Some(Role::Standby), 1));
    assert_eq!(
        refusal(own, vec![me(), standby(), Err(Duration::ZERO)]),
        None
    );
    let other = Ok(node(3, Some(Role::Provider), 1));
    assert!(refusal(own, vec![me(), other]).is_some());
}

#[test]
fn a_database_that_knows_the_set_itself_begins_none() {
    let why = |role, term| known_here(&node(ME, role, term), "q1");
    assert_eq!(why(None, 0), None);
    assert_eq!(why(Some(Role::Provider), 1), None);
    let known = why(None, 3);
    assert_eq!(
        known.as_deref(),
        Some("this database knows term 3 of set q1")
    );
    for role in [Role::Fenced, Role::Standby, Role::Reader, Role::Copy] {
        assert!(why(Some(role), 0).is_some(), "{role:?}");
    }
}
