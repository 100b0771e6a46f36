//! How a workflow follows its steps.

use super::*;
use crate::tasks::row::tests::waiting;

fn workflow() -> TaskRow {
    TaskRow {
        is_workflow: true,
        ..waiting("flow")
    }
}

fn of(ended: i32, failed: i32, cancelled: i32) -> Sum {
    Sum {
        all: 3,
        started: 1,
        ended,
        failed,
        cancelled,
        permille: ended * 1_000,
    }
}

#[test]
fn a_workflow_ends_when_all_of_its_steps_have() {
    for (sum, is_asked, state) in [
        (
            Sum {
                all: 3,
                ..Sum::default()
            },
            false,
            State::Queued,
        ),
        (of(0, 0, 0), false, State::Running),
        (of(2, 2, 0), false, State::Running),
        (of(3, 0, 0), false, State::Completed),
        (of(3, 1, 0), false, State::Failed),
        (of(3, 1, 2), false, State::Failed),
        (of(3, 0, 1), false, State::Completed),
        (of(3, 0, 3), false, State::Cancelled),
        (of(2, 0, 2), true, State::Running),
        (of(3, 0, 0), true, State::Cancelled),
        (of(3, 3, 0), true, State::Cancelled),
    ] {
        let mut parent = workflow();
        parent.cancel_requested_at = is_asked.then_some(parent.now);
        follow(&mut parent, sum).unwrap();
        assert_eq!(parent.state, state, "{sum:?} {is_asked}");
        assert_eq!(parent.progress.step, Some((sum.ended, 3)));
    }
}

#[test]
fn what_has_not_changed_is_not_told() {
    let mut parent = workflow();
    let told = follow(&mut parent, of(1, 0, 0)).unwrap();
    let types: Vec<_> = told.iter().map(|event| event.event_type.action()).collect();
    assert_eq!(types, ["started", "progress"]);
    assert!(follow(&mut parent, of(1, 0, 0)).unwrap().is_empty());
    // Too early to be told, and said with the end at the latest.
    assert!(follow(&mut parent, of(2, 0, 0)).unwrap().is_empty());
    assert!(parent.is_untold);
    let told = follow(&mut parent, of(3, 0, 0)).unwrap();
    assert_eq!(told.len(), 1);
    assert!(!parent.is_untold);
}
