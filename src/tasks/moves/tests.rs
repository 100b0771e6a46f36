//! Any order of moves: only legal ones are made, and what is told is what is.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::tasks::row::tests::waiting;

#[derive(Clone, Copy, Debug)]
enum Move {
    Claim,
    Requeue,
    Complete,
    Fail,
    Ask,
    Cancel,
    Progress,
    TimePasses,
}

const MOVES: [Move; 8] = [
    Move::Claim,
    Move::Requeue,
    Move::Complete,
    Move::Fail,
    Move::Ask,
    Move::Cancel,
    Move::Progress,
    Move::TimePasses,
];

fn fault() -> Fault {
    Fault {
        code: "unlucky".parse().unwrap(),
        message: "No.".to_owned().try_into().unwrap(),
        retryable: true,
    }
}

fn held(row: &TaskRow) -> Lease {
    Lease {
        worker: "wes".parse().unwrap(),
        seconds: 30,
        until: row.now + Duration::from_secs(30),
    }
}

fn make(row: &mut TaskRow, made: Move) -> Result<Vec<NewEvent>, TaskError> {
    let user: UserId = "ann".parse().unwrap();
    match made {
        Move::Claim => {
            let held = held(row);
            claim(row, held)
        }
        Move::Requeue => requeue(row, fault(), Duration::from_secs(1)),
        Move::Complete => complete(row, (None, None), None),
        Move::Fail => fail(row, fault(), None),
        Move::Ask => ask_to_end(row, &user),
        Move::Cancel => cancel(row, Some(&user)),
        Move::Progress if row.held.is_some() => {
            let percent = row.version % 1_000;
            row.progress.percent = Percent::of_permille(i16::try_from(percent).unwrap()).ok();
            Ok(progressed(row))
        }
        Move::Progress => Ok(Vec::new()),
        Move::TimePasses => {
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
    fn whatever_is_tried_a_task_ends_once_and_what_is_told_is_what_is(
        tried in prop::collection::vec(0..MOVES.len(), 0..40)
    ) {
        let mut row = waiting("t-1");
        let mut told = create(&mut row);
        for made in tried.into_iter().map(|n| MOVES[n]) {
            let before = row.clone();
            if let Ok(events) = make(&mut row, made) {
                told.extend(events);
            } else {
                prop_assert_eq!(row.state, before.state);
                prop_assert_eq!(row.version, before.version);
            }
            let is_legal = row.state == before.state || before.state.may_become(row.state, false);
            prop_assert!(is_legal, "{} {}", before.state, row.state);
            prop_assert_eq!(row.ended_at.is_some(), row.state.is_over());
            let is_at_work = matches!(row.state, State::Running | State::Cancelling);
            prop_assert_eq!(row.held.is_some(), is_at_work);
            prop_assert!(!row.is_untold || is_at_work);
        }
        let of_user: Vec<_> = told.iter().filter(|e| e.version.is_some()).collect();
        let versions: Vec<_> = of_user.iter().filter_map(|e| e.version).collect();
        prop_assert!(versions.iter().copied().eq(1..=row.version), "{versions:?}");
        let ends = of_user.iter().filter(|e| is_end(e)).count();
        prop_assert_eq!(ends, usize::from(row.state.is_over()));
        prop_assert!(ends == 0 || is_end(of_user[of_user.len() - 1]));
        let last: Value = serde_json::from_str(of_user[of_user.len() - 1].data.as_ref().unwrap().get()).unwrap();
        prop_assert_eq!(&last["state"], row.state.as_str());
        if !row.is_untold {
            let percent = serde_json::to_value(row.progress.percent).unwrap();
            prop_assert_eq!(&last["percent"], &percent);
        }
    }
}

#[test]
fn the_last_report_comes_before_the_end() {
    let mut row = waiting("t-1");
    let first = held(&row);
    claim(&mut row, first).unwrap();
    assert_eq!(progressed(&mut row).len(), 1, "the first is told at once");
    row.progress.percent = Percent::of_permille(500).ok();
    assert!(progressed(&mut row).is_empty());
    let told = cancel(&mut row, None).unwrap();
    let types: Vec<_> = told.iter().map(|event| event.event_type.action()).collect();
    assert_eq!(types, ["progress", "cancelled"]);
}

#[test]
fn a_team_is_told_the_same_as_the_user() {
    let mut row = waiting("t-1");
    row.team = Some("a".parse().unwrap());
    let told = create(&mut row);
    let audiences: Vec<_> = told
        .iter()
        .map(|event| event.audience.to_string())
        .collect();
    assert_eq!(audiences, ["user:ann", "team:a", "workers"]);
    assert_eq!(told[0].version, told[1].version);
}
