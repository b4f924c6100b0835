use super::*;

const POLLUX: i64 = 2;
const HELEN: i64 = 3;

#[test]
fn whatever_the_nodes_say_no_course_promotes_a_second_one() {
    let steps = [
        Step::Freeze,
        Step::Promote,
        Step::Promoted,
        Step::Open,
        Step::Follow,
        Step::Done,
        Step::Aborted,
    ];
    let row = |node, new, step| Row {
        node: NodeId(node),
        new: NodeId(new),
        step,
    };
    let promoted = [Step::Promoted, Step::Open, Step::Follow, Step::Done];
    for new in [POLLUX, HELEN] {
        for pollux in steps {
            for helen in steps {
                let rows = [row(POLLUX, new, pollux), row(HELEN, new, helen)];
                let (own, other) = if new == POLLUX {
                    (pollux, helen)
                } else {
                    (helen, pollux)
                };
                let what = format!("{rows:?}");
                match course(&rows) {
                    Course::Promoted(node) => {
                        assert_eq!(node, NodeId(new), "{what}");
                        assert!(promoted.contains(&own), "{what}");
                    }
                    // Nobody is elected again once somebody may be promoted.
                    Course::Held => {
                        assert_eq!((own, other), (Step::Freeze, Step::Freeze), "{what}");
                    }
                    Course::Elected(node) => {
                        assert_eq!(node, NodeId(new), "{what}");
                        assert!(matches!(own, Step::Freeze | Step::Promote), "{what}");
                    }
                    Course::GivenUp => {
                        assert!(own == Step::Aborted || other == Step::Aborted, "{what}");
                        assert!(!promoted.contains(&own), "{what}");
                    }
                }
            }
        }
    }
    // The elected node does not answer: the others know that it may be the provider.
    let rows = [row(HELEN, POLLUX, Step::Promote)];
    assert_eq!(course(&rows), Course::Elected(NodeId(POLLUX)));
    assert_eq!(course(&[row(HELEN, POLLUX, Step::Freeze)]), Course::Held);
}
