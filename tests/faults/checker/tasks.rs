//! Tasks: every one ends once, as its worker was told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Findings, Log, Rule};
use crate::history::{Entry, Line, Outcome};

const ENDS: [&str; 3] = ["ai:task:completed", "ai:task:failed", "ai:task:cancelled"];

pub(super) fn check(lines: &[Line], log: &Log<'_>, findings: &mut Findings) {
    let ends = ends(log);
    for (task, states) in &ends {
        if states.len() > 1 {
            findings.add(Rule::TaskEndedTwice, format!("{task}: {states:?}"));
        }
    }
    let mut created = BTreeSet::new();
    let mut states: HashMap<&str, &str> = HashMap::new();
    for line in lines {
        match &line.entry {
            Entry::TaskAsked { task } => {
                created.insert(&task[..]);
            }
            Entry::TaskState { task, state } => {
                states.insert(task, state);
            }
            Entry::TaskEndAnswered {
                task,
                state,
                outcome: Outcome::Done,
                ..
            } => {
                let told = ends.get(&task[..]).and_then(|states| states.first());
                if told != Some(&&state[..]) {
                    let text = format!("{task} was accepted as {state}, but {told:?} was told");
                    findings.add(Rule::TaskEndNotKept, text);
                }
            }
            Entry::OutputRead { task, whole: false } => {
                findings.add(Rule::OutputBroken, task.clone());
            }
            Entry::Imported { .. } => imported(&line.entry, findings),
            _ => {}
        }
    }
    for task in created {
        let told = ends.get(task).and_then(|states| states.first()).copied();
        if told.is_none() || states.get(task).copied() != told {
            let state = states.get(task);
            let text = format!("{task} is {state:?}, and {told:?} was told");
            findings.add(Rule::TaskNotEnded, text);
        }
    }
    claims(lines, findings);
}

/// The ends of each task, as its user was told.
fn ends<'a>(log: &Log<'a>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut ends: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in log.all() {
        let is_end = ENDS.contains(&&row.event.event_type[..]);
        // The worker is told too, without the version.
        let is_for_user = row.audience.starts_with("user:") && row.event.version.is_some();
        if let (true, true, Some(task)) = (is_end, is_for_user, &row.event.subject) {
            let state = row.event.event_type.rsplit(':').next().unwrap_or_default();
            ends.entry(task).or_default().push(state);
        }
    }
    ends
}

fn imported(entry: &Entry, findings: &mut Findings) {
    if let Entry::Imported {
        rows,
        found,
        different,
        state,
        ..
    } = entry
    {
        let is_whole = state != "completed" || found == rows;
        if found != different || found > rows || !is_whole {
            findings.add(Rule::ImportBroken, format!("{entry:?}"));
        }
    }
}

/// No two claims have the same fence, and later claims have higher ones.
fn claims(lines: &[Line], findings: &mut Findings) {
    let mut claims: BTreeMap<&str, Vec<(i64, u64, u64)>> = BTreeMap::new();
    for Line { at, entry } in lines {
        if let Entry::Claimed { task, fence, asked } = entry {
            claims.entry(task).or_default().push((*fence, *asked, *at));
        }
    }
    for (task, mut claims) in claims {
        claims.sort_unstable();
        let is_wrong = |two: &[(i64, u64, u64)]| two[0].0 == two[1].0 || two[0].1 > two[1].2;
        if claims.windows(2).any(is_wrong) {
            findings.add(Rule::FenceOrder, format!("{task}: {claims:?}"));
        }
    }
}
