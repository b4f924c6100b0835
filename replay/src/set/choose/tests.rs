use std::time::Duration;

use sql::{
    meeting::{Introduction, Removed, Word},
    queue::{lineage::NodeId, tick::Epoch},
    role::Role,
};

use super::*;

mod nobody;

/// The identity of this node.
const ME: i64 = 1;
const A: i64 = 10;
const B: i64 = 11;

fn node(id: i64, role: Option<Role>, term: i64) -> Introduction {
    Introduction {
        node: Some(NodeId(id)),
        name: Some(format!("n{id}")),
        started: format!("start of {id}"),
        in_recovery: false,
        role,
        term: (term > 0).then_some(term),
        // A node's queue has the node's number.
        epoch: Some(Epoch(id)),
        upstream: None,
        ended: false,
        ahead: false,
        members: Vec::new(),
        removed: Vec::new(),
        known_term: None,
        set: None,
        number: None,
        priority: 100,
        history: Vec::new(),
    }
}

fn host(said: Introduction) -> Host {
    Host {
        title: format!("host{}", said.node.unwrap_or(NodeId(0))),
        last_term: said.term.unwrap_or(0),
        said: Ok(said),
        place: Place::Unknown,
    }
}

fn silent(seconds: u64, last_term: i64) -> Host {
    Host {
        title: "silent".into(),
        said: Err(Duration::from_secs(seconds)),
        last_term,
        place: Place::Unknown,
    }
}

fn placed(mut host: Host, place: Place) -> Host {
    host.place = place;
    host
}

fn hears(mut one: Introduction, of: i64, role: Role, term: i64, age: f64) -> Introduction {
    one.known_term = one.known_term.max(one.term).max(Some(term));
    one.members.push(Word {
        node: NodeId(of),
        role,
        term,
        age,
        name: None,
        number: None,
        client: None,
        last_tick: None,
        untold_at: None,
    });
    one
}

/// A standby of term 1, which follows A's queue.
fn round(hosts: Vec<Host>) -> Round {
    Round {
        own: Some(node(ME, Some(Role::Standby), 1)),
        epoch: Some(Epoch(A)),
        hosts,
        current: None,
    }
}

fn provider(id: i64, term: i64) -> Host {
    host(node(id, Some(Role::Provider), term))
}

fn standby(id: i64, term: i64) -> Host {
    host(node(id, Some(Role::Standby), term))
}

/// A node that follows A and hears it.
fn relay(id: i64, age: f64) -> Host {
    host(hears(
        node(id, Some(Role::Standby), 1),
        A,
        Role::Provider,
        1,
        age,
    ))
}

fn none() -> Place {
    Place::None("gone".into())
}

#[test]
fn every_set_has_the_choice_that_is_wanted() {
    let me = || standby(ME, 1);
    let fenced = |id, term| host(node(id, Some(Role::Fenced), term));
    let following = |hosts, current| Round {
        current: Some(current),
        ..round(hosts)
    };
    let cases: Vec<(&str, Round, Choice)> = vec![
        (
            "the provider, wherever it stands in the list",
            round(vec![me(), standby(B, 1), provider(A, 1)]),
            Choice::Follow(2),
        ),
        (
            "the provider of the highest term, once it has a place",
            round(vec![provider(A, 1), provider(B, 2)]),
            Choice::Ask(vec![1]),
        ),
        (
            "the same, asked",
            round(vec![provider(A, 1), placed(provider(B, 2), Place::Found)]),
            Choice::Follow(1),
        ),
        (
            "a stale provider is never followed, although it has a place and its successor has none",
            following(vec![provider(A, 1), placed(provider(B, 2), none())], 0),
            Choice::Follow(1),
        ),
        (
            "nor while its successor is only heard of",
            following(
                vec![
                    provider(A, 1),
                    host(hears(
                        node(B, Some(Role::Standby), 1),
                        12,
                        Role::Provider,
                        2,
                        5.0,
                    )),
                ],
                0,
            ),
            // B is not of that term either, but hears the provider, and its queue may have a place.
            Choice::Ask(vec![1]),
        ),
        (
            "a provider without a place: a node that follows and hears it",
            round(vec![
                placed(provider(B, 1), none()),
                placed(
                    host(hears(
                        node(12, Some(Role::Reader), 0),
                        B,
                        Role::Provider,
                        1,
                        3.0,
                    )),
                    Place::Found,
                ),
            ]),
            Choice::Follow(1),
        ),
        (
            "a fenced node of the highest term",
            round(vec![fenced(A, 1), standby(B, 1)]),
            Choice::Follow(0),
        ),
        (
            "a former provider is asked whether its log has ended before the place",
            round(vec![
                host(hears(
                    node(A, Some(Role::Fenced), 1),
                    B,
                    Role::Provider,
                    2,
                    1.0,
                )),
                placed(provider(B, 2), none()),
            ]),
            Choice::Ask(vec![0]),
        ),
        (
            "who has applied more than both have stays with the provider, which says what there is to be done",
            round(vec![
                placed(
                    host(hears(
                        node(A, Some(Role::Standby), 2),
                        B,
                        Role::Provider,
                        2,
                        1.0,
                    )),
                    none(),
                ),
                placed(provider(B, 2), none()),
            ]),
            Choice::Follow(1),
        ),
        (
            "a fenced node of a lower term is not followed",
            round(vec![fenced(A, 1), placed(provider(B, 2), none())]),
            Choice::Follow(1),
        ),
        (
            "a provider that is silent for a moment is waited for",
            following(vec![silent(9, 1), placed(relay(B, 1.0), Place::Found)], 0),
            Choice::Stay,
        ),
        (
            "and then left for a node that hears it",
            following(vec![silent(11, 1), placed(relay(B, 1.0), Place::Found)], 0),
            Choice::Follow(1),
        ),
        (
            "two nodes below a dead provider do not turn to each other",
            following(vec![silent(12, 1), placed(relay(B, 12.0), Place::Found)], 0),
            Choice::Stay,
        ),
        (
            "a relay that has not heard it for as long is a sibling that would turn to us, too",
            following(vec![silent(25, 1), placed(relay(B, 26.0), Place::Found)], 0),
            Choice::Stay,
        ),
        (
            "a relay that still hears it while we do not",
            following(vec![silent(12, 1), placed(relay(B, 10.0), Place::Found)], 0),
            Choice::Follow(1),
        ),
        (
            "a relay that has not heard it for long",
            following(vec![silent(99, 1), placed(relay(B, 99.0), Place::Found)], 0),
            Choice::Stay,
        ),
        (
            "a host that is silent is not waited for when there is a later term",
            following(
                vec![
                    silent(1, 1),
                    placed(
                        host(hears(
                            node(B, Some(Role::Standby), 2),
                            12,
                            Role::Provider,
                            2,
                            1.0,
                        )),
                        Place::Found,
                    ),
                ],
                0,
            ),
            Choice::Follow(1),
        ),
        (
            "who is followed already, of two that will do",
            following(
                vec![
                    silent(99, 1),
                    placed(relay(B, 1.0), Place::Found),
                    placed(relay(12, 1.0), Place::Found),
                ],
                2,
            ),
            Choice::Follow(2),
        ),
        (
            "nobody has a role: the one database that could be it, and not the node itself",
            Round {
                own: Some(Introduction {
                    epoch: None,
                    ..node(ME, None, 0)
                }),
                epoch: None,
                ..round(vec![host(node(ME, None, 0)), host(node(A, None, 0))])
            },
            Choice::Follow(1),
        ),
        (
            "nobody has a role, and the position is in the queue of one",
            Round {
                own: None,
                ..round(vec![host(node(B, None, 0)), host(node(A, None, 0))])
            },
            Choice::Follow(1),
        ),
        (
            "no position: the provider",
            Round {
                epoch: None,
                ..round(vec![standby(B, 1), provider(A, 1)])
            },
            Choice::Follow(1),
        ),
        (
            "a physical copy of the provider has its identity, and is not asked",
            round(vec![
                host(Introduction {
                    in_recovery: true,
                    started: "later".into(),
                    ..node(A, Some(Role::Provider), 1)
                }),
                provider(A, 1),
            ]),
            Choice::Follow(1),
        ),
        (
            "two names of one server",
            round(vec![provider(A, 1), provider(A, 1)]),
            Choice::Follow(0),
        ),
    ];
    for (what, round, wanted) in cases {
        assert_eq!(choose(&round), wanted, "{what}");
    }
}

#[test]
fn a_node_that_does_not_follow_rests_whatever_the_others_say() {
    for role in [Role::Provider, Role::Fenced, Role::Copy] {
        let round = Round {
            own: Some(node(ME, Some(role), 1)),
            ..round(vec![provider(A, 2)])
        };
        assert_eq!(choose(&round), Choice::Rest(role));
    }
}

#[test]
fn a_fenced_node_joins_only_where_a_later_provider_has_begun_and_it_has_written_nothing_since() {
    let waits = |choice: &Choice| *choice == Choice::Rest(Role::Fenced);
    let is_apart = |choice: &Choice| matches!(choice, Choice::Apart(_));
    let joins = |choice: &Choice| *choice == Choice::Join;
    let is_ahead = |choice: &Choice| *choice == Choice::Ahead;
    type IsRight<'a> = &'a dyn Fn(&Choice) -> bool;
    let wanted: [(bool, bool, i64, IsRight<'_>); 4] = [
        (false, false, 1, &waits),
        (false, false, 2, &is_apart),
        (true, false, 2, &joins),
        (false, true, 2, &is_ahead),
    ];
    for (ended, ahead, heard, is_right) in wanted {
        let own = Introduction {
            ended,
            ahead,
            known_term: Some(heard),
            ..node(ME, Some(Role::Fenced), 1)
        };
        let round = Round {
            own: Some(own),
            ..round(vec![provider(A, 2)])
        };
        let choice = choose(&round);
        assert!(is_right(&choice), "{choice:?}");
        assert_eq!(round.provider(), Some(0));
    }
}
