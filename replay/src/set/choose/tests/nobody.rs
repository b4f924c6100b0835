//! Sets in which nobody is followed, and what is said about it.

use super::*;

#[test]
fn nobody_is_followed_where_two_decisions_exclude_each_other() {
    let two = [
        ("both answer", vec![provider(A, 2), provider(B, 2)]),
        (
            "one of them answers a third node only",
            vec![
                provider(A, 2),
                host(hears(
                    node(12, Some(Role::Reader), 0),
                    B,
                    Role::Provider,
                    2,
                    90.0,
                )),
            ],
        ),
    ];
    for (what, hosts) in two {
        let choice = choose(&round(hosts));
        assert!(
            matches!(&choice, Choice::Torn(Conflict::Providers(text)) if text.contains("term 2")),
            "{what}: {choice:?}"
        );
    }
    // The youngest word counts: B was fenced meanwhile.
    let over = round(vec![
        host(hears(
            node(A, Some(Role::Provider), 2),
            B,
            Role::Fenced,
            2,
            3.0,
        )),
        host(hears(
            node(12, Some(Role::Reader), 0),
            B,
            Role::Provider,
            2,
            90.0,
        )),
    ]);
    assert_eq!(choose(&over), Choice::Follow(0));

    // A queue of the same name, of another set.
    let of_set = |id, term, set| {
        host(Introduction {
            set: Some(NodeId(set)),
            ..node(id, Some(Role::Provider), term)
        })
    };
    let choice = choose(&round(vec![of_set(A, 1, A), of_set(B, 7, B)]));
    assert!(
        matches!(&choice, Choice::Torn(Conflict::Providers(text)) if text.contains("two sets")),
        "{choice:?}"
    );
    let same = round(vec![of_set(A, 1, A), placed(of_set(B, 2, A), Place::Found)]);
    assert_eq!(choose(&same), Choice::Follow(1));

    let twin = |id, role| {
        host(Introduction {
            started: "another time".into(),
            ..node(id, Some(role), 1)
        })
    };
    for hosts in [
        vec![provider(A, 1), twin(A, Role::Provider)],
        vec![provider(A, 1), twin(ME, Role::Standby)],
    ] {
        let choice = choose(&round(hosts));
        assert!(
            matches!(&choice, Choice::Torn(Conflict::Servers(_))),
            "{choice:?}"
        );
    }
    // A copy of the database has the provider's identity, too, and says so: it is none of the set's.
    let original = || placed(provider(A, 1), Place::Found);
    let copy = round(vec![twin(A, Role::Copy), original()]);
    assert_eq!(choose(&copy), Choice::Follow(1));
    let beside = round(vec![twin(A, Role::Copy), original(), provider(B, 1)]);
    assert!(matches!(
        choose(&beside),
        Choice::Torn(Conflict::Providers(_))
    ));
    // A provider that meets another one rests, and the conflict is there to be told.
    let own = Round {
        own: Some(node(ME, Some(Role::Provider), 1)),
        ..round(vec![provider(A, 1)])
    };
    assert!(conflict(&own).is_some());
}

#[test]
fn nobody_is_followed_where_nobody_can_be_and_it_is_said_why() {
    let undecided = Round {
        epoch: None,
        ..round(vec![host(node(A, None, 0)), host(node(B, None, 0))])
    };
    let undecided = Round {
        own: None,
        ..undecided
    };
    assert!(
        matches!(choose(&undecided), Choice::Undecided(why) if why.contains("host10 and host11"))
    );
    // The node that runs this may have the data itself.
    let one = Round {
        own: Some(node(ME, None, 0)),
        epoch: None,
        ..round(vec![host(node(A, None, 0))])
    };
    assert!(
        matches!(choose(&one), Choice::Undecided(why) if why.contains("this database and host10"))
    );
    let away = round(vec![silent(3, 0), silent(3, 0)]);
    assert!(matches!(choose(&away), Choice::Nobody(why) if why.contains("silent: no answer")));
    let copy = round(vec![host(node(A, Some(Role::Copy), 1)), standby(ME, 1)]);
    assert!(matches!(choose(&copy), Choice::Nobody(_)));
    let stale = Round {
        current: Some(0),
        ..round(vec![host(Introduction {
            known_term: Some(2),
            ..node(A, Some(Role::Provider), 1)
        })])
    };
    assert!(matches!(choose(&stale), Choice::Nobody(why) if why.contains("there is a term 2")));
}

#[test]
fn the_word_of_others_does_not_bring_back_a_node_that_was_removed_since() {
    let rival = |heard, removed| {
        let mut said = hears(
            node(A, Some(Role::Provider), 1),
            B,
            Role::Provider,
            1,
            heard,
        );
        said.removed = vec![Removed {
            node: NodeId(B),
            age: removed,
        }];
        round(vec![host(said)])
    };
    assert_eq!(choose(&rival(100.0, 50.0)), Choice::Follow(0));
    // It was heard again.
    assert!(matches!(
        choose(&rival(3.0, 50.0)),
        Choice::Torn(Conflict::Providers(_))
    ));
    // What it says itself counts in any case.
    let mut both = rival(100.0, 50.0);
    both.hosts.push(provider(B, 1));
    assert!(matches!(
        choose(&both),
        Choice::Torn(Conflict::Providers(_))
    ));
}
