use std::time::Duration;

use sql::meeting::Introduction;
use sql::operation::{Kind, Obstacle, Operation, OperationId, Part, SetSize, Step};
use sql::queue::lineage::NodeId;
use sql::queue::tick::{Epoch, Tick, TickId, TickTag};
use sql::role::Role;
use sql::standing::{Following, Unapplied};
use sql::subscriber::position::Position;

use super::*;
use crate::topology::facts::{Busy, HostFacts, NodeFacts};

fn introduction(id: i64, name: &str, role: Option<Role>, upstream: Option<i64>) -> Introduction {
    Introduction {
        node: Some(NodeId(id)),
        name: Some(name.to_owned()),
        started: format!("start of {id}"),
        in_recovery: false,
        role,
        term: role.map(|_| 3),
        epoch: Some(Epoch(id)),
        upstream: upstream.map(NodeId),
        ended: false,
        ahead: false,
        members: Vec::new(),
        removed: Vec::new(),
        known_term: Some(3),
        set: Some(NodeId(1)),
        number: None,
        priority: 100,
        history: Vec::new(),
    }
}

fn host(is: Introduction) -> HostFacts {
    HostFacts {
        title: format!("host{}", is.node.unwrap().0),
        said: Ok(NodeFacts {
            is,
            operations: Vec::new(),
        }),
    }
}

fn castor() -> Introduction {
    introduction(1, "castor", Some(Role::Provider), None)
}

fn pollux() -> Introduction {
    introduction(2, "pollux", Some(Role::Standby), Some(1))
}

fn helen() -> Introduction {
    introduction(3, "helen", Some(Role::Reader), Some(1))
}

#[test]
fn the_provider_and_the_standby_are_found_wherever_they_stand() {
    let silent = HostFacts {
        title: "host4".into(),
        said: Err("no route".into()),
    };
    let hosts = [silent, host(helen()), host(pollux()), host(castor())];
    let Casting::Cast(found) = cast(&hosts, "pollux") else {
        panic!("{:?}", cast(&hosts, "pollux"));
    };
    assert_eq!(
        (found.old_host, found.new_host, found.was_fenced),
        (3, 2, false)
    );
    assert_eq!(
        (found.old.title(), found.new.title()),
        ("castor".into(), "pollux".into())
    );
    let fenced = Introduction {
        role: Some(Role::Fenced),
        ..castor()
    };
    let Casting::Cast(found) = cast(&[host(fenced), host(pollux())], "pollux") else {
        panic!("a fence by hand is no obstacle");
    };
    assert!(found.was_fenced);
    // Two names of one server, and a physical copy of it.
    let copy = Introduction {
        in_recovery: true,
        started: "later".into(),
        ..castor()
    };
    let hosts = [host(castor()), host(castor()), host(copy), host(pollux())];
    assert!(matches!(cast(&hosts, "pollux"), Casting::Cast(_)));
    assert_eq!(
        cast(&[host(castor()), host(pollux())], "castor"),
        Casting::IsProvider
    );
}

#[test]
fn who_cannot_take_a_part_is_named() {
    let refused = |hosts: &[Introduction], to: &str, words: &str| {
        let hosts: Vec<HostFacts> = hosts.iter().cloned().map(host).collect();
        match cast(&hosts, to) {
            Casting::Refused(why) => {
                let all: Vec<&str> = why.iter().map(|one| one.reason.as_str()).collect();
                assert!(all.join("; ").contains(words), "{words}: {all:?}");
            }
            other @ (Casting::Cast(_) | Casting::IsProvider | Casting::Busy(_)) => {
                panic!("{words}: {other:?}")
            }
        }
    };
    let other = |id: i64, name: &str, role, term| Introduction {
        term: Some(term),
        ..introduction(id, name, Some(role), None)
    };
    refused(
        &[castor(), pollux()],
        "polux",
        "no host that answers is node polux; they are castor, pollux",
    );
    refused(
        &[castor(), helen()],
        "helen",
        "helen (host3) is reader, and no standby",
    );
    refused(&[pollux(), helen()], "pollux", "no host is the provider");
    let double = Introduction {
        node: Some(NodeId(9)),
        ..pollux()
    };
    refused(
        &[castor(), pollux(), double],
        "pollux",
        "both called pollux",
    );
    let elsewhere = Introduction {
        upstream: Some(NodeId(3)),
        ..pollux()
    };
    refused(
        &[castor(), elsewhere],
        "pollux",
        "pollux (host2) does not follow castor (host1)",
    );
    let twin = Introduction {
        started: "another".into(),
        ..castor()
    };
    refused(
        &[castor(), twin, pollux()],
        "pollux",
        "have the identity of one node",
    );
    let rival = other(9, "leda", Role::Provider, 3);
    refused(
        &[castor(), rival, pollux()],
        "pollux",
        "two providers of term 3: castor (host1) and leda (host9)",
    );
    let stale = other(9, "leda", Role::Provider, 2);
    refused(
        &[castor(), stale, pollux()],
        "pollux",
        "leda (host9) is a provider of the past, of term 2",
    );
    let heard = Introduction {
        known_term: Some(4),
        ..helen()
    };
    refused(
        &[castor(), pollux(), heard],
        "pollux",
        "helen (host3) has heard of a provider of term 4",
    );
    let fenced = Introduction {
        role: Some(Role::Fenced),
        ..castor()
    };
    refused(
        &[fenced, pollux()],
        "castor",
        "is the provider itself, and is fenced",
    );
    // A fenced provider of the past is no obstacle.
    let hosts = [
        host(castor()),
        host(other(9, "leda", Role::Fenced, 2)),
        host(pollux()),
    ];
    assert!(matches!(cast(&hosts, "pollux"), Casting::Cast(_)));
}

#[test]
fn one_operation_at_a_time() {
    let part = |id, name: &str| Part {
        node: NodeId(id),
        name: Some(name.into()),
    };
    let operation = |step| Operation {
        queue: "q1".into(),
        id: OperationId(7),
        kind: Kind::Switchover,
        old: part(1, "castor"),
        new: part(3, "helen"),
        was_fenced: false,
        step,
        started_by: "postgres".into(),
        seconds: 1.0,
        quiet_seconds: 1.0,
    };
    let with = |step| {
        let mut old = host(castor());
        old.said.as_mut().unwrap().operations.push(operation(step));
        [old, host(pollux())]
    };
    let wanted = Busy {
        kind: Kind::Switchover,
        what: "a switchover from castor to helen runs, step catch-up".to_owned(),
    };
    assert_eq!(cast(&with(Step::CatchUp), "pollux"), Casting::Busy(wanted));
    assert!(matches!(
        cast(&with(Step::CatchUp), "castor"),
        Casting::Busy(_)
    ));
    for over in [Step::Done, Step::Aborted] {
        assert!(matches!(cast(&with(over), "pollux"), Casting::Cast(_)));
    }
}

fn ready() -> Readiness {
    Readiness {
        old: "castor".into(),
        new: "pollux".into(),
        fence_obstacles: Vec::new(),
        epoch: Some(Epoch(1)),
        old_size: SetSize {
            relations: 10,
            locks: 6400,
        },
        new_size: SetSize {
            relations: 10,
            locks: 6400,
        },
        not_promotable: Vec::new(),
        following: Some(Following {
            consumer: "pollux".into(),
            position: Position {
                epoch: Epoch(1),
                tick: Tick {
                    id: TickId(5),
                    tag: TickTag(6),
                },
            },
            paused: false,
            error: None,
        }),
        unapplied: Some(Unapplied {
            is_known: true,
            seconds: Some(9.0),
            events: 3,
        }),
        replay_runs: true,
        ticker_runs: true,
    }
}

#[test]
fn all_that_keeps_it_from_beginning_is_told_in_one_go() {
    let limit = Duration::from_secs(10);
    assert_eq!(refusals(&ready(), limit), Vec::new());
    let following = |change: fn(&mut Following)| {
        let mut following = ready().following.unwrap();
        change(&mut following);
        Readiness {
            following: Some(following),
            ..ready()
        }
    };
    let unapplied = |is_known, seconds| Readiness {
        unapplied: Some(Unapplied {
            is_known,
            seconds: Some(seconds),
            events: 3,
        }),
        ..ready()
    };
    let obstacle = |reason: &str| {
        vec![Obstacle {
            reason: reason.into(),
            hint: None,
        }]
    };
    let large = SetSize {
        relations: 3201,
        locks: 6400,
    };
    for (one, words) in [
        (
            Readiness {
                old_size: large,
                ..ready()
            },
            "castor: 3201 tables and partitions",
        ),
        (
            Readiness {
                new_size: large,
                ..ready()
            },
            "pollux: 3201 tables and partitions",
        ),
        (
            Readiness {
                following: None,
                ..ready()
            },
            "pollux: no replay brings",
        ),
        (
            Readiness {
                epoch: Some(Epoch(2)),
                ..ready()
            },
            "stands in another log",
        ),
        (
            following(|one| one.paused = true),
            "pollux: replay is paused",
        ),
        (
            following(|one| one.error = Some("boom".into())),
            "pollux: replay does not go on: boom",
        ),
        (
            unapplied(true, 10.5),
            "pollux lags 10.5 s, more than --max-lag 10",
        ),
        (
            unapplied(false, 0.0),
            "its place is not in the queue of castor",
        ),
        (
            Readiness {
                replay_runs: false,
                ..ready()
            },
            "pollux: replay does not run",
        ),
        (
            Readiness {
                ticker_runs: false,
                ..ready()
            },
            "pollux: no ticker runs",
        ),
        (
            Readiness {
                fence_obstacles: obstacle("two"),
                ..ready()
            },
            "castor: two",
        ),
        (
            Readiness {
                not_promotable: obstacle("three"),
                ..ready()
            },
            "pollux: three",
        ),
    ] {
        let found = refusals(&one, limit);
        assert_eq!(found.len(), 1, "{words}: {found:?}");
        assert!(found[0].reason.contains(words), "{words}: {found:?}");
    }
    let all = Readiness {
        replay_runs: false,
        ticker_runs: false,
        fence_obstacles: obstacle("two"),
        not_promotable: obstacle("three"),
        ..ready()
    };
    assert_eq!(refusals(&all, Duration::from_secs(1)).len(), 5);
}
