//! How the state of a workflow follows from its steps.

use super::*;
use crate::tasks::row::tests::queued;

fn workflow() -> TaskRow {
    TaskRow {
        is_workflow: true,
        ..queued("flow")
    }
}

fn of(ended: i32, failed: i32, cancelled: i32) -> StepCounts {
    StepCounts {
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
    for (counts, is_requested, state) in [
        (
            StepCounts {
                all: 3,
                ..StepCounts::default()
            },
            false,
            TaskState::Queued,
        ),
        (of(0, 0, 0), false, TaskState::Running),
        (of(2, 2, 0), false, TaskState::Running),
        (of(3, 0, 0), false, TaskState::Completed),
        (of(3, 1, 0), false, TaskState::Failed),
        (of(3, 1, 2), false, TaskState::Failed),
        (of(3, 0, 1), false, TaskState::Completed),
        (of(3, 0, 3), false, TaskState::Cancelled),
        (of(2, 0, 2), true, TaskState::Running),
        (of(3, 0, 0), true, TaskState::Cancelled),
        (of(3, 3, 0), true, TaskState::Cancelled),
    ] {
        let mut parent = workflow();
        parent.cancel_requested_at = is_requested.then_some(parent.now);
        apply(&mut parent, counts).unwrap();
        assert_eq!(parent.state, state, "{counts:?} {is_requested}");
        let step = counts.ended;
        assert_eq!(parent.progress.steps, Some(Steps { step, total: 3 }));
    }
}

#[test]
fn only_changes_are_published() {
    let mut parent = workflow();
    let events = apply(&mut parent, of(1, 0, 0)).unwrap();
    let types: Vec<_> = events
        .iter()
        .map(|event| event.event_type.action())
        .collect();
    assert_eq!(types, ["started", "progress"]);
    assert!(apply(&mut parent, of(1, 0, 0)).unwrap().is_empty());
    // Too early to be published: it comes with the end at the latest.
    assert!(apply(&mut parent, of(2, 0, 0)).unwrap().is_empty());
    assert!(parent.has_unpublished);
    let events = apply(&mut parent, of(3, 0, 0)).unwrap();
    assert_eq!(events.len(), 1);
    assert!(!parent.has_unpublished);
}
