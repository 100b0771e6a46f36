//! Presence: in the end every instance and every reader shows those who are there.

use std::collections::{BTreeSet, HashMap};

use super::{Findings, Rule};
use crate::history::{Entry, Line};

pub(super) fn check(lines: &[Line], findings: &mut Findings) {
    let mut expected: HashMap<&str, BTreeSet<&String>> = HashMap::new();
    for line in lines {
        match &line.entry {
            Entry::PresenceExpected { brokerage, users } => {
                expected.insert(brokerage, users.iter().collect());
            }
            Entry::PresenceSeen {
                place,
                brokerage,
                users,
            } => {
                let seen: BTreeSet<_> = users.iter().collect();
                let expected = expected.get(&brokerage[..]);
                if expected != Some(&seen) {
                    let text = format!("{place} shows {seen:?}, not {expected:?}");
                    findings.add(Rule::PresenceWrong, text);
                }
            }
            _ => {}
        }
    }
}
