//! Whether everything occurred that a run is to show: one in which somebody did nothing proves nothing about them.

use super::{Findings, Rule};
use crate::history::{Entry, Line, Outcome};

/// A run with fewer faults is too short to say.
const LEAST_FAULTS: usize = 50;

type IsSign = fn(&Entry) -> bool;

/// Whether an entry is of this form.
macro_rules! entry {
    ($form:pat $(if $condition:expr)?) => {
        |entry| matches!(entry, $form $(if $condition)?)
    };
}

/// What must occur, and an entry that shows it.
#[rustfmt::skip]
const SIGNS: &[(&str, IsSign)] = &[
    ("an acknowledged publication", entry!(Entry::Acknowledged { .. })),
    ("a publication without an answer", entry!(Entry::Failed { outcome: Outcome::Unknown, .. })),
    ("a committed write", entry!(Entry::WriteEnded { outcome: Outcome::Done, .. })),
    ("a write that was undone or refused", entry!(Entry::WriteEnded { outcome: Outcome::Refused, .. })),
    ("a record that moved away", entry!(Entry::Logged(row) if row.event.event_type == "appointment:deleted")),
    ("a lock that was granted", entry!(Entry::LockGranted { .. })),
    ("a lock that was refused", entry!(Entry::LockRefused { .. })),
    ("a task that completed", entry!(Entry::TaskState { state, .. } if state == "completed")),
    ("a task that failed", entry!(Entry::TaskState { state, .. } if state == "failed")),
    ("a task that was cancelled", entry!(Entry::TaskState { state, .. } if state == "cancelled")),
    ("output of a task", entry!(Entry::OutputRead { .. })),
    ("an import that completed", entry!(Entry::Imported { state, .. } if state == "completed")),
    ("a token that was revoked", entry!(Entry::Revoked { .. })),
    ("a token that ended", entry!(Entry::Closed { reason, .. } if reason == "expired")),
    ("a stream that was renewed", entry!(Entry::Renewed { .. })),
    ("a drain", entry!(Entry::Closed { reason, .. } if reason == "drain")),
    ("a reader that was away", entry!(Entry::Away { .. })),
    ("a long poll", entry!(Entry::Received { reader, .. } if reader.starts_with("long polls"))),
    ("retention", entry!(Entry::Trimmed { .. })),
    ("presence", entry!(Entry::PresenceSeen { .. })),
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
