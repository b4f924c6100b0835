use sql::operation::Step;

use super::*;

fn states() -> Vec<Known> {
    let steps = Step::ALL.map(Known::At);
    [vec![Known::Silent, Known::Nothing], steps.to_vec()].concat()
}

const WISHES: [Wish; 3] = [
    Wish::Resume,
    Wish::Abort { force: false },
    Wish::Abort { force: true },
];

/// Before the promotion, and not over.
fn may_be_promoted(known: Known) -> bool {
    matches!(
        known,
        Known::At(Step::Prepare | Step::Freeze | Step::Fence | Step::CatchUp | Step::Promote)
    )
}

fn is_promoted(known: Known) -> bool {
    matches!(
        known,
        Known::At(Step::Promoted | Step::Open | Step::Follow | Step::Done)
    )
}

#[test]
fn whatever_the_two_say_no_course_makes_two_providers() {
    for wish in WISHES {
        for old in states() {
            for new in states() {
                let what = format!("{wish:?} old {old:?} new {new:?}");
                match course(wish, old, new) {
                    // The old provider takes writes again only if the new one has said that it is none, and is kept
                    // from becoming it; or the operation has not fenced; or a person has said that the new one is off.
                    Course::GiveUp {
                        new: first,
                        old: end,
                    } => {
                        assert!(!is_promoted(new), "{what}");
                        assert_eq!(first, may_be_promoted(new), "{what}");
                        assert!(
                            matches!(end, Old::Restore) == may_be_promoted(old),
                            "{what}"
                        );
                        if new == Known::Silent {
                            let has_not_fenced = matches!(
                                old,
                                Known::At(Step::Prepare | Step::Freeze | Step::Fence)
                            );
                            assert!(
                                has_not_fenced || wish == (Wish::Abort { force: true }),
                                "{what}"
                            );
                        }
                    }
                    // Nothing goes on towards a promotion unless both say that it may.
                    Course::GoOn(Step::Prepare | Step::Fence) => {
                        assert_eq!(wish, Wish::Resume, "{what}");
                        assert!(may_be_promoted(new), "{what}");
                        assert!(may_be_promoted(old) || old == Known::Nothing, "{what}");
                    }
                    // What is promoted goes on, whatever the old one says.
                    Course::GoOn(Step::Open) => {
                        assert_eq!(wish, Wish::Resume, "{what}");
                        assert!(is_promoted(new), "{what}");
                    }
                    Course::GoOn(step) => panic!("{what}: {step:?}"),
                    Course::Over(Step::Done) => assert!(is_promoted(new), "{what}"),
                    Course::Over(_) => {
                        let over = [Known::Nothing, Known::At(Step::Aborted)];
                        assert!(over.contains(&old) && over.contains(&new), "{what}");
                    }
                    Course::NewIsSilent => assert_eq!(new, Known::Silent, "{what}"),
                    Course::OldIsSilent => assert_eq!(old, Known::Silent, "{what}"),
                    Course::IsPromoted => {
                        assert!(
                            wish != Wish::Resume && (is_promoted(new) || is_promoted(old)),
                            "{what}"
                        );
                    }
                    Course::Contradiction => {
                        assert!(is_promoted(old) && !is_promoted(new), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_command_that_was_killed_at_any_step_can_be_resumed_and_given_up() {
    use Known::{At, Nothing, Silent};
    let give_up = |new, old| Course::GiveUp { new, old };
    // As the rows of both nodes are when the command is killed behind each of its writes.
    for (old, new, resume, abort) in [
        (
            Nothing,
            At(Step::Prepare),
            Course::GoOn(Step::Prepare),
            give_up(true, Old::Leave),
        ),
        (
            At(Step::Prepare),
            At(Step::Prepare),
            Course::GoOn(Step::Prepare),
            give_up(true, Old::Restore),
        ),
        (
            At(Step::Prepare),
            At(Step::Fence),
            Course::GoOn(Step::Prepare),
            give_up(true, Old::Restore),
        ),
        (
            At(Step::Fence),
            At(Step::Fence),
            Course::GoOn(Step::Fence),
            give_up(true, Old::Restore),
        ),
        (
            At(Step::CatchUp),
            At(Step::Fence),
            Course::GoOn(Step::Fence),
            give_up(true, Old::Restore),
        ),
        (
            At(Step::CatchUp),
            At(Step::CatchUp),
            Course::GoOn(Step::Fence),
            give_up(true, Old::Restore),
        ),
        (
            At(Step::CatchUp),
            At(Step::Promote),
            Course::GoOn(Step::Fence),
            give_up(true, Old::Restore),
        ),
        (
            At(Step::Promote),
            At(Step::Promote),
            Course::GoOn(Step::Fence),
            give_up(true, Old::Restore),
        ),
        (
            At(Step::Promote),
            At(Step::Promoted),
            Course::GoOn(Step::Open),
            Course::IsPromoted,
        ),
        (
            At(Step::Promote),
            At(Step::Open),
            Course::GoOn(Step::Open),
            Course::IsPromoted,
        ),
        (
            At(Step::Follow),
            At(Step::Follow),
            Course::GoOn(Step::Open),
            Course::IsPromoted,
        ),
        (
            At(Step::Done),
            At(Step::Follow),
            Course::GoOn(Step::Open),
            Course::IsPromoted,
        ),
        (
            At(Step::Done),
            At(Step::Done),
            Course::Over(Step::Done),
            Course::IsPromoted,
        ),
        // While it is being given up.
        (
            At(Step::Promote),
            At(Step::Aborted),
            give_up(false, Old::Restore),
            give_up(false, Old::Restore),
        ),
        (
            At(Step::Aborted),
            At(Step::Aborted),
            Course::Over(Step::Aborted),
            Course::Over(Step::Aborted),
        ),
        // One of the two does not answer.
        (
            At(Step::Fence),
            Silent,
            Course::NewIsSilent,
            give_up(false, Old::Restore),
        ),
        (
            At(Step::Promote),
            Silent,
            Course::NewIsSilent,
            Course::NewIsSilent,
        ),
        (
            Silent,
            At(Step::Promote),
            Course::OldIsSilent,
            give_up(true, Old::Later),
        ),
        (
            Silent,
            At(Step::Open),
            Course::GoOn(Step::Open),
            Course::IsPromoted,
        ),
        (Silent, Silent, Course::NewIsSilent, Course::NewIsSilent),
    ] {
        let what = format!("old {old:?} new {new:?}");
        assert_eq!(course(Wish::Resume, old, new), resume, "resume, {what}");
        let forceless = Wish::Abort { force: false };
        assert_eq!(course(forceless, old, new), abort, "abort, {what}");
    }
    // A person says that the new one is off.
    let force = Wish::Abort { force: true };
    assert_eq!(
        course(force, At(Step::Promote), Silent),
        give_up(false, Old::Restore)
    );
    assert_eq!(
        course(force, At(Step::Promote), At(Step::Open)),
        Course::IsPromoted
    );
}
