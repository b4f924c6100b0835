use sql::failover::{Place, TimedTick};
use sql::meeting::{Introduction, Reign, Word};
use sql::operation::{Kind, Obstacle, Operation, OperationId, Part, Step};
use sql::queue::lineage::NodeId;
use sql::queue::tick::{Epoch, Tick, TickId, TickTag};
use sql::role::Role;
use sql::subscriber::position::Position;

use super::*;
use crate::topology::facts::{HostFacts, NodeFacts};
use crate::topology::refusal::Refusal;

const CASTOR: i64 = 1;
const POLLUX: i64 = 2;
const HELEN: i64 = 3;

fn reign(term: i64, node: i64, name: &str) -> Reign {
    Reign {
        term,
        node_id: NodeId(node),
        node_name: Some(name.into()),
        epoch: Epoch(node),
    }
}

fn word(node: i64, name: &str, role: Role, age: f64) -> Word {
    Word {
        node: NodeId(node),
        name: Some(name.into()),
        number: None,
        client: Some(format!("host={name}")),
        role,
        term: 1,
        last_tick: matches!(role, Role::Provider | Role::Fenced).then_some((90, 1000.0 - age)),
        untold_at: None,
        age,
    }
}

/// A standby of castor, which has met it half a minute ago.
fn node(id: i64, name: &str) -> Introduction {
    Introduction {
        node: Some(NodeId(id)),
        name: Some(name.into()),
        started: format!("start of {id}"),
        in_recovery: false,
        role: Some(Role::Standby),
        term: Some(1),
        epoch: Some(Epoch(id)),
        upstream: Some(NodeId(CASTOR)),
        ended: false,
        ahead: false,
        members: vec![word(CASTOR, "castor", Role::Provider, 30.0)],
        removed: Vec::new(),
        known_term: Some(1),
        set: Some(NodeId(CASTOR)),
        number: None,
        priority: 100,
        history: vec![reign(1, CASTOR, "castor")],
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

fn silent() -> HostFacts {
    HostFacts {
        title: "host9".into(),
        said: Err("no route".into()),
    }
}

fn texts(refused: &[Refusal]) -> String {
    let all: Vec<&str> = refused.iter().map(|one| one.reason.as_str()).collect();
    all.join("; ")
}

#[track_caller]
fn refused(hosts: &[HostFacts], words: &str) {
    match dead(hosts, Some("pollux"), None) {
        Finding::Refused(why) => assert!(texts(&why).contains(words), "{words}: {why:?}"),
        other @ (Finding::Dead(_) | Finding::IsProvider(_) | Finding::Busy(_)) => {
            panic!("{words}: {other:?}")
        }
    }
}

#[test]
fn the_provider_that_is_off_is_known_from_those_that_answer() {
    let helen = Introduction {
        members: vec![word(CASTOR, "castor", Role::Provider, 20.0)],
        ..node(HELEN, "helen")
    };
    let hosts = [silent(), host(node(POLLUX, "pollux")), host(helen)];
    let Finding::Dead(found) = dead(&hosts, None, None) else {
        panic!("{:?}", dead(&hosts, None, None));
    };
    assert_eq!(found.part.title(), "castor");
    assert_eq!((found.term, found.epoch), (1, Epoch(CASTOR)));
    assert_eq!(found.client.as_deref(), Some("host=castor"));
    assert_eq!(found.met, Some(("helen (host3)".into(), 20.0)));
    let heard = TimedTick {
        id: TickId(90),
        time: 970.0,
    };
    assert_eq!(found.heard.map(|one| one.id), Some(heard.id));
    assert_eq!(found.final_tick, None);
    assert!(!has_provider(&hosts));
    // The last word says what it was.
    for (age, last) in [(5.0, Some(heard.id)), (60.0, None)] {
        let helen = Introduction {
            members: vec![word(CASTOR, "castor", Role::Fenced, age)],
            ..node(HELEN, "helen")
        };
        let hosts = [host(node(POLLUX, "pollux")), host(helen)];
        let Finding::Dead(found) = dead(&hosts, None, None) else {
            panic!("{:?}", dead(&hosts, None, None));
        };
        assert_eq!(found.final_tick, last);
    }
}

#[test]
fn of_a_provider_that_was_fenced_nothing_is_lost_without_a_word() {
    let pollux = [standing(POLLUX, "pollux", 5)];
    let fenced_at = |tick| Dead {
        final_tick: Some(TickId(tick)),
        ..off()
    };
    assert_eq!(elect(&fenced_at(5), &pollux, &[], FREE), Ok(0));
    let why = elect(&fenced_at(6), &pollux, &[], FREE).unwrap_err();
    let words = "castor was fenced, its log ends at tick 6, and pollux has it up to tick 5";
    assert!(texts(&why).contains(words), "{}", texts(&why));
    let behind = Wish {
        behind: true,
        ..FREE
    };
    assert_eq!(elect(&fenced_at(6), &pollux, &[], behind), Ok(0));
}

#[test]
fn who_answers_is_not_off_and_whom_nobody_knows_is_not_given_up() {
    let pollux = || host(node(POLLUX, "pollux"));
    let castor = |role| Introduction {
        role: Some(role),
        ..node(CASTOR, "castor")
    };
    let hosts = [host(castor(Role::Provider)), pollux()];
    refused(&hosts, "castor (host1) answers, and is provider");
    assert!(has_provider(&hosts));
    refused(
        &[host(castor(Role::Fenced)), pollux()],
        "castor (host1) answers, and is fenced",
    );
    assert_eq!(
        dead(&hosts, Some("castor"), None),
        Finding::IsProvider("castor".into())
    );
    // A physical copy of it is not it, and nor is a host without identity.
    let copy = Introduction {
        in_recovery: true,
        ..castor(Role::Provider)
    };
    assert!(matches!(
        dead(&[host(copy), pollux()], None, None),
        Finding::Dead(_)
    ));
    refused(&[silent()], "knows who was the provider");
    let rival = Introduction {
        history: vec![reign(1, HELEN, "helen")],
        ..node(HELEN, "helen")
    };
    refused(&[pollux(), host(rival)], "two providers of term 1");
    let later = Introduction {
        known_term: Some(2),
        ..node(HELEN, "helen")
    };
    refused(
        &[pollux(), host(later)],
        "helen (host3) has heard of a provider of term 2",
    );
    let stale = Introduction {
        role: Some(Role::Provider),
        ..node(HELEN, "helen")
    };
    refused(&[pollux(), host(stale)], "is a provider of the past");
    let mut busy = pollux();
    busy.said.as_mut().unwrap().operations.push(Operation {
        queue: "q".into(),
        id: OperationId(7),
        kind: Kind::Failover,
        old: standing(CASTOR, "castor", 0).part,
        new: standing(POLLUX, "pollux", 0).part,
        was_fenced: false,
        step: Step::Freeze,
        started_by: "postgres".into(),
        seconds: 1.0,
        quiet_seconds: 1.0,
    });
    let Finding::Busy(told) = dead(&[busy.clone()], None, None) else {
        panic!("an operation runs");
    };
    assert_eq!(
        told.what,
        "a failover from castor to pollux runs, step freeze"
    );
    let own = dead(&[busy], None, Some(OperationId(7)));
    assert!(matches!(own, Finding::Dead(_)));
}

fn at(epoch: i64, tick: i64) -> Position {
    Position {
        epoch: Epoch(epoch),
        tick: Tick {
            id: TickId(tick),
            tag: TickTag(tick * 7),
        },
    }
}

fn standing(id: i64, name: &str, tick: i64) -> Standing {
    Standing {
        part: Part {
            node: NodeId(id),
            name: Some(name.into()),
        },
        number: None,
        priority: 100,
        role: Role::Standby,
        place: Some(Place {
            names: vec![at(CASTOR, tick)],
            time: 100.0,
            address: None,
            error: None,
        }),
        obstacles: Vec::new(),
        ticker_runs: true,
    }
}

fn off() -> Dead {
    Dead {
        part: Part {
            node: NodeId(CASTOR),
            name: Some("castor".into()),
        },
        term: 1,
        epoch: Epoch(CASTOR),
        client: None,
        heard: None,
        final_tick: None,
        met: None,
    }
}

const FREE: Wish<'_> = Wish {
    to: None,
    without: &[],
    behind: false,
};

#[track_caller]
fn elects(standings: &[Standing], wish: Wish<'_>, name: &str) {
    let number = elect(&off(), standings, &[], wish);
    let number = number.unwrap_or_else(|why| panic!("{}", texts(&why)));
    assert_eq!(standings[number].part.title(), name);
}

#[test]
fn the_furthest_is_elected_then_the_preferred_then_the_first() {
    let pollux = || standing(POLLUX, "pollux", 5);
    let helen = || standing(HELEN, "helen", 5);
    elects(&[pollux(), standing(HELEN, "helen", 6)], FREE, "helen");
    let preferred = Standing {
        priority: 101,
        ..helen()
    };
    elects(&[pollux(), preferred.clone()], FREE, "helen");
    // What one has more counts above all.
    elects(&[standing(POLLUX, "pollux", 6), preferred], FREE, "pollux");
    let numbered = |one, number| Standing {
        number: Some(number),
        ..one
    };
    elects(
        &[numbered(pollux(), 2), numbered(helen(), 1)],
        FREE,
        "helen",
    );
    elects(&[numbered(pollux(), 2), helen()], FREE, "pollux");
    elects(&[pollux(), helen()], FREE, "helen");
    // A reader is none, however far it is; a place is found by each of its names.
    let reader = Standing {
        role: Role::Reader,
        ..standing(HELEN, "helen", 9)
    };
    elects(&[pollux(), reader], FREE, "pollux");
    let mut below = helen();
    below.place.as_mut().unwrap().names = vec![at(POLLUX, 1), at(CASTOR, 7)];
    elects(&[below.clone()], FREE, "helen");
    // Who reads that log itself is preferred, since others find their place there.
    elects(
        &[standing(POLLUX, "pollux", 7), below.clone()],
        FREE,
        "pollux",
    );
    let to = Wish {
        to: Some("helen"),
        ..FREE
    };
    let why = elect(&off(), &[pollux(), below], &[], to).unwrap_err();
    let words = "pollux reads the log of castor already, and helen does not";
    assert!(texts(&why).contains(words), "{}", texts(&why));
}

#[test]
fn what_would_be_lost_without_a_word_is_refused() {
    let dead = off();
    let check = |standings: &[Standing], silent: &[Part], wish, words: &str| match elect(
        &dead, standings, silent, wish,
    ) {
        Ok(number) => panic!("{words}: {number}"),
        Err(why) => assert!(texts(&why).contains(words), "{words}: {}", texts(&why)),
    };
    let pollux = standing(POLLUX, "pollux", 5);
    let helen = standing(HELEN, "helen", 9);
    let to = |to, behind| Wish {
        to: Some(to),
        behind,
        ..FREE
    };
    let both = [pollux.clone(), helen.clone()];
    let words = "pollux stands at tick 5, and helen has more, up to tick 9";
    check(&both, &[], to("pollux", false), words);
    elects(&both, to("pollux", true), "pollux");
    elects(&both, to("helen", false), "helen");
    // So it is if the one that has more cannot be elected.
    for (change, why) in [
        (
            Standing {
                priority: 0,
                ..helen.clone()
            },
            "helen has priority 0",
        ),
        (
            Standing {
                obstacles: vec![Obstacle {
                    reason: "table t is missing".into(),
                    hint: None,
                }],
                ..helen.clone()
            },
            "helen: table t is missing",
        ),
    ] {
        let both = [pollux.clone(), change.clone()];
        check(&both, &[], FREE, &format!("{words}; {why}"));
        let behind = Wish {
            behind: true,
            ..FREE
        };
        elects(&both, behind, "pollux");
        check(&both, &[], to("helen", true), why);
        check(&[change], &[], FREE, why);
    }
    // A standby that does not answer may have more.
    let silent = [helen.part.clone()];
    let without = ["helen".to_owned()];
    check(
        std::slice::from_ref(&pollux),
        &silent,
        FREE,
        "standby helen does not answer",
    );
    let wish = Wish {
        without: &without,
        ..FREE
    };
    assert_eq!(
        elect(&dead, std::slice::from_ref(&pollux), &silent, wish),
        Ok(0)
    );
    check(&[], &[], FREE, "no standby answers");
    check(
        std::slice::from_ref(&pollux),
        &[],
        to("polux", false),
        "no host that answers and follows is node polux; they are pollux",
    );
    let elsewhere = Standing {
        place: None,
        ..pollux.clone()
    };
    check(
        &[elsewhere],
        &[],
        to("pollux", false),
        "pollux has no place in the log of castor",
    );
    let mut stuck = pollux;
    stuck.place.as_mut().unwrap().error = Some("went back in time".into());
    check(
        &[stuck],
        &[],
        FREE,
        "pollux: replay does not go on: went back in time",
    );
}

#[test]
fn standbys_that_do_not_answer_are_known_from_the_youngest_word() {
    let pollux = Introduction {
        members: vec![
            word(CASTOR, "castor", Role::Standby, 30.0),
            word(HELEN, "helen", Role::Standby, 9.0),
            word(4, "leda", Role::Standby, 50.0),
            word(5, "castor2", Role::Reader, 1.0),
        ],
        ..node(POLLUX, "pollux")
    };
    let zeus = Introduction {
        members: vec![word(4, "leda", Role::Fenced, 2.0)],
        ..node(6, "zeus")
    };
    let silent = silent_standbys(&[host(pollux), host(zeus)], &off());
    let names: Vec<String> = silent.iter().map(Part::title).collect();
    assert_eq!(names, ["helen"]);
}

#[test]
fn the_loss_is_counted_up_to_the_last_tick_that_was_heard_of() {
    let heard = |id, time| Dead {
        heard: Some(TimedTick {
            id: TickId(id),
            time,
        }),
        ..off()
    };
    let pollux = standing(POLLUX, "pollux", 5);
    let seconds = |dead: &Dead| loss(dead, &[], &pollux).unwrap().seconds();
    assert!((seconds(&heard(9, 163.5)) - 63.5).abs() < 1e-9);
    for level in [heard(5, 100.0), heard(4, 90.0), off()] {
        assert!(seconds(&level) < 1e-9);
    }
    let text = loss(&heard(9, 163.5), &[], &pollux).unwrap().text("castor");
    assert_eq!(
        text,
        "what castor has committed after its tick 5 (1970-01-01T00:01:40Z) is lost: it was heard of last \
         at its tick 9, 63.5 s later"
    );
    // A reader is never elected, and may have more.
    let helen = Standing {
        role: Role::Reader,
        ..standing(HELEN, "helen", 8)
    };
    let told = loss(&off(), &[pollux.clone(), helen], &pollux).unwrap();
    assert_eq!(told.more, [("helen".to_owned(), TickId(8))]);
    let said = told.of_those_ahead("castor", "pollux").concat();
    assert!(
        said.starts_with("helen has more than pollux, up to tick 8: it waits until castor is back")
            && said.contains("replay adopt"),
        "{said}"
    );
    assert_eq!(told.json()["ahead"][0]["tick"], 8);
}
