//! Whether everything occurred that a run is to show: one in which somebody did nothing proves nothing about them.

use super::{Findings, Rule};
use crate::history::{Entry, Line, Outcome};

/// A run with fewer faults is too short to say.
const LEAST_FAULTS: usize = 50;

type IsSign = fn(&Entry) -> bool;

/// What must occur, and an entry that shows it.
const SIGNS: &[(&str, IsSign)] = &[
    ("an acknowledged publication", |e| {
        matches!(e, Entry::Acknowledged { .. })
    }),
    ("a publication without an answer", |e| {
        matches!(
            e,
            Entry::Failed {
                outcome: Outcome::Unknown,
                ..
            }
        )
    }),
    ("a committed write", |e| ended(e, Outcome::Done)),
    ("a write that was undone or refused", |e| {
        ended(e, Outcome::Refused)
    }),
    (
        "a record that moved away",
        |e| matches!(e, Entry::Logged(row) if row.event.event_type == "appointment:deleted"),
    ),
    ("a lock that was granted", |e| {
        matches!(e, Entry::LockGranted { .. })
    }),
    ("a lock that was refused", |e| {
        matches!(e, Entry::LockRefused { .. })
    }),
    ("a task that completed", |e| is_task(e, "completed")),
    ("a task that failed", |e| is_task(e, "failed")),
    ("a task that was cancelled", |e| is_task(e, "cancelled")),
    ("output of a task", |e| {
        matches!(e, Entry::OutputRead { .. })
    }),
    (
        "an import that completed",
        |e| matches!(e, Entry::Imported { state, .. } if state == "completed"),
    ),
    ("a token that was revoked", |e| {
        matches!(e, Entry::Revoked { .. })
    }),
    (
        "a token that ended",
        |e| matches!(e, Entry::Closed { reason, .. } if reason == "expired"),
    ),
    ("a stream that was renewed", |e| {
        matches!(e, Entry::Renewed { .. })
    }),
    (
        "a drain",
        |e| matches!(e, Entry::Closed { reason, .. } if reason == "drain"),
    ),
    ("a reader that was away", |e| {
        matches!(e, Entry::Away { .. })
    }),
    (
        "a long poll",
        |e| matches!(e, Entry::Received { reader, .. } if reader.starts_with("long polls")),
    ),
    ("retention", |e| matches!(e, Entry::Trimmed { .. })),
    ("presence", |e| matches!(e, Entry::PresenceSeen { .. })),
];

pub(super) fn check(lines: &[Line], findings: &mut Findings) {
    let is_fault = |line: &&Line| matches!(line.entry, Entry::FaultEnded { .. });
    if lines.iter().filter(is_fault).count() < LEAST_FAULTS {
        return;
    }
    for (what, is_sign) in SIGNS {
        if !lines.iter().any(|line| is_sign(&line.entry)) {
            findings.add(Rule::Idle, format!("there was never {what}"));
        }
    }
}

fn ended(entry: &Entry, as_this: Outcome) -> bool {
    matches!(entry, Entry::WriteEnded { outcome, .. } if *outcome == as_this)
}

fn is_task(entry: &Entry, in_state: &str) -> bool {
    matches!(entry, Entry::TaskState { state, .. } if state == in_state)
}
