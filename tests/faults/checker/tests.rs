//! The checker finds nothing in a history that is in order, and every way to break one.

mod breaks;
mod sample;

use breaks::{BREAKS, place, put};
use sample::Sample;

use super::{Rule, check};
use crate::history::{Entry, Line, Outcome};

#[test]
fn a_history_that_is_in_order_has_no_violation() {
    let findings = check(&Sample::whole());
    assert!(findings.violations.is_empty(), "{:#?}", findings.violations);
    assert_eq!(findings.recoveries["kill"].faults, 1);
}

#[test]
fn every_way_to_break_a_history_is_noticed() {
    assert!(BREAKS.len() >= 20);
    for (name, rule, change) in BREAKS {
        let mut lines = Sample::whole();
        change(&mut lines);
        let found: Vec<_> = check(&lines).violations.iter().map(|v| v.rule).collect();
        assert!(found.contains(rule), "{name}: {found:?}");
    }
}

#[test]
fn a_reset_behind_the_horizon_is_right_and_what_was_removed_is_not_missed() {
    let mut lines = Sample::whole();
    let of_ann = |e: &Entry| matches!(e, Entry::Received { reader, .. } if reader == "ann");
    let first = place(&lines, of_ann);
    let position = 2;
    lines[first].entry = Entry::Reset {
        reader: "ann".to_owned(),
        reason: "expired".to_owned(),
        position,
    };
    let second = place(&lines, of_ann);
    lines.remove(second);
    put(
        &mut lines,
        first,
        Entry::Trimmed {
            brokerage: "b".to_owned(),
            horizon: 2,
        },
    );
    let found = check(&lines).violations;
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_a_write_of_the_crm_may_lack_its_event_while_the_disk_is_full_and_only_if_a_reset_follows() {
    let rules = |record: &str, has_reset| {
        let mut lines = Sample::whole();
        let (write, brokerage) = (900, "b".to_owned());
        let mut entries = vec![
            Entry::FaultBegan {
                fault: 9,
                kind: "disk full".to_owned(),
            },
            Entry::Written {
                write,
                record: record.to_owned(),
                version: 1,
            },
            Entry::WriteEnded {
                write,
                outcome: Outcome::Done,
            },
            Entry::FaultEnded { fault: 9 },
        ];
        if has_reset {
            entries.push(Entry::NewEpoch { brokerage });
        }
        for entry in entries.into_iter().rev() {
            put(&mut lines, 0, entry);
        }
        let found = check(&lines).violations;
        found.iter().any(|v| v.rule == Rule::WriteNotToldOnce)
    };
    assert!(!rules("deals/d-9", true));
    assert!(rules("deals/d-9", false));
    assert!(rules("escrows/r-9", true));
}

#[test]
fn each_new_epoch_of_a_log_is_the_cause_of_one_reset() {
    let mut lines = Sample::whole();
    let of_ann = |e: &Entry| matches!(e, Entry::Received { reader, .. } if reader == "ann");
    let first = place(&lines, of_ann);
    let Entry::Received { position, .. } = lines[first].entry else {
        panic!("an event");
    };
    let reset = Entry::Reset {
        reader: "ann".to_owned(),
        reason: "unknown".to_owned(),
        position,
    };
    put(&mut lines, first, reset.clone());
    let brokerage = "b".to_owned();
    put(&mut lines, first, Entry::NewEpoch { brokerage });
    let found = check(&lines).violations;
    assert!(found.is_empty(), "{found:#?}");
    put(&mut lines, first, reset);
    let found = check(&lines).violations;
    assert!(found.iter().any(|v| v.rule == Rule::ResetWithoutCause));
}

#[test]
fn a_long_run_without_something_says_what() {
    let mut lines = Sample::whole();
    let last = lines.len() - 1;
    for fault in 1..60 {
        let kind = "kill".to_owned();
        put(&mut lines, last, Entry::FaultEnded { fault });
        put(&mut lines, last, Entry::FaultBegan { fault, kind });
    }
    let findings = check(&lines).violations;
    let idle = |what: &str| {
        findings
            .iter()
            .any(|v| v.rule == Rule::Idle && v.text.ends_with(what))
    };
    assert!(
        idle("retention") && idle("a drain") && idle("a long poll"),
        "{findings:#?}"
    );
    assert!(
        !idle("presence") && !idle("a lock that was granted"),
        "{findings:#?}"
    );
}

#[test]
fn an_entry_is_the_same_when_it_is_read_back() {
    for line in Sample::whole() {
        let text = serde_json::to_string(&line).expect("JSON");
        assert_eq!(serde_json::from_str::<Line>(&text).expect(&text), line);
    }
}
