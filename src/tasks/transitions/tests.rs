//! Transitions in any order: only allowed ones happen, and the events agree with the row.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::tasks::row::tests::queued;

#[derive(Clone, Copy, Debug)]
enum Action {
    Claim,
    Requeue,
    Complete,
    Fail,
    RequestCancel,
    Cancel,
    Progress,
    TimePasses,
}

const ACTIONS: [Action; 8] = [
    Action::Claim,
    Action::Requeue,
    Action::Complete,
    Action::Fail,
    Action::RequestCancel,
    Action::Cancel,
    Action::Progress,
    Action::TimePasses,
];

fn fault() -> TaskFault {
    TaskFault {
        code: "unlucky".parse().unwrap(),
        message: "No.".to_owned().try_into().unwrap(),
        retryable: true,
    }
}

fn lease(row: &TaskRow) -> Lease {
    Lease {
        worker: "wes".parse().unwrap(),
        seconds: 30,
        until: row.now + Duration::from_secs(30),
    }
}

fn run(row: &mut TaskRow, action: Action) -> Result<Vec<NewEvent>, TaskError> {
    let user: UserId = "ann".parse().unwrap();
    match action {
        Action::Claim => {
            let lease = lease(row);
            claim(row, lease)
        }
        Action::Requeue => requeue(row, fault(), Duration::from_secs(1)),
        Action::Complete => complete(row, Completion::default(), None),
        Action::Fail => fail(row, fault(), None),
        Action::RequestCancel => request_cancel(row, &user),
        Action::Cancel => cancel(row, Some(&user)),
        Action::Progress if row.lease.is_some() => {
            let percent = row.version % 1_000;
            row.progress.percent = Percent::of_permille(i16::try_from(percent).unwrap()).ok();
            Ok(progressed(row))
        }
        Action::Progress => Ok(Vec::new()),
        Action::TimePasses => {
            row.now += Duration::from_millis(200);
            Ok(Vec::new())
        }
    }
}

fn is_end(event: &NewEvent) -> bool {
    ["completed", "failed", "cancelled"].contains(&event.event_type.action())
}

proptest! {
    #[test]
    fn a_task_ends_once_and_its_events_agree_with_its_row(
        tried in prop::collection::vec(0..ACTIONS.len(), 0..40)
    ) {
        let mut row = queued("t-1");
        let mut events = create(&mut row);
        for action in tried.into_iter().map(|n| ACTIONS[n]) {
            let before = row.clone();
            if let Ok(more) = run(&mut row, action) {
                events.extend(more);
            } else {
                prop_assert_eq!(row.state, before.state);
                prop_assert_eq!(row.version, before.version);
            }
            let is_legal = row.state == before.state || before.state.may_become(row.state, false);
            prop_assert!(is_legal, "{} {}", before.state, row.state);
            prop_assert_eq!(row.ended_at.is_some(), row.state.is_over());
            let is_running = matches!(row.state, TaskState::Running | TaskState::Cancelling);
            prop_assert_eq!(row.lease.is_some(), is_running);
            prop_assert!(!row.has_unpublished || is_running);
        }
        let of_user: Vec<_> = events.iter().filter(|e| e.version.is_some()).collect();
        let versions: Vec<_> = of_user.iter().filter_map(|e| e.version).collect();
        prop_assert!(versions.iter().copied().eq(1..=row.version), "{versions:?}");
        let ends = of_user.iter().filter(|e| is_end(e)).count();
        prop_assert_eq!(ends, usize::from(row.state.is_over()));
        prop_assert!(ends == 0 || is_end(of_user[of_user.len() - 1]));
        let last: Value = serde_json::from_str(of_user[of_user.len() - 1].data.as_ref().unwrap().get()).unwrap();
        prop_assert_eq!(&last["state"], row.state.as_str());
        if !row.has_unpublished {
            let percent = serde_json::to_value(row.progress.percent).unwrap();
            prop_assert_eq!(&last["percent"], &percent);
        }
    }
}

#[test]
fn the_last_report_comes_before_the_end() {
    let mut row = queued("t-1");
    let first = lease(&row);
    claim(&mut row, first).unwrap();
    assert_eq!(
        progressed(&mut row).len(),
        1,
        "the first is published at once"
    );
    row.progress.percent = Percent::of_permille(500).ok();
    assert!(progressed(&mut row).is_empty());
    let events = cancel(&mut row, None).unwrap();
    let types: Vec<_> = events
        .iter()
        .map(|event| event.event_type.action())
        .collect();
    assert_eq!(types, ["progress", "cancelled"]);
}

#[test]
fn a_team_receives_the_same_as_the_user() {
    let mut row = queued("t-1");
    row.team = Some("a".parse().unwrap());
    let events = create(&mut row);
    let audiences: Vec<_> = events
        .iter()
        .map(|event| event.audience.to_string())
        .collect();
    assert_eq!(audiences, ["user:ann", "team:a", "workers"]);
    assert_eq!(events[0].version, events[1].version);
}
