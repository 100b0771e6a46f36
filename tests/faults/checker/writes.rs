//! Writes on watched tables, and of records of the service: a committed one has its event, one that was undone or
//! refused has none.

use std::collections::{BTreeMap, HashMap};

use super::{Findings, Log, Rule};
use crate::history::{Entry, Line, Outcome};

/// The fault in which Postgres cannot write.
const DISK_FULL: &str = "disk full";

struct Write<'a> {
    record: &'a str,
    version: i64,
    outcome: Outcome,
    /// While the disk is full, a trigger that cannot describe a write does not fail it: it notes the change as set aside, or
    /// only warns if it cannot do that either.
    may_be_set_aside: bool,
}

pub(super) fn check(lines: &[Line], log: &Log<'_>, findings: &mut Findings) {
    let writes = writes(lines);
    let records: std::collections::HashSet<_> = writes.values().map(|w| w.record).collect();
    let mut told: HashMap<(&str, i64), usize> = HashMap::new();
    let mut newest: HashMap<(&str, &str), i64> = HashMap::new();
    let mut done: HashMap<i64, i64> = HashMap::new();
    for row in log.all() {
        let (Some(record), Some(version)) = (&row.event.record, row.event.version) else {
            continue;
        };
        if !records.contains(&record[..]) {
            continue;
        }
        let newest = newest.entry((&row.brokerage, record)).or_default();
        if version < *newest {
            findings.add(Rule::Reordered, format!("{row:?} after {newest}"));
        }
        *newest = version;
        // A record that moves is deleted for those who lose it.
        if !row.event.event_type.ends_with(":deleted") {
            *told.entry((record, version)).or_default() += 1;
            // One that was sent twice with a key is carried out once.
            if let Some(number) = row.event.number
                && let Some(before) = done.insert(number, version).filter(|v| *v != version)
            {
                findings.add(
                    Rule::Repeated,
                    format!("{row:?}, as version {before} before"),
                );
            }
        }
        match row.event.number.map(|write| (write, writes.get(&write))) {
            Some((_, Some(write))) if write.outcome == Outcome::Refused => {
                findings.add(Rule::UndoneWriteTold, format!("{row:?}"));
            }
            Some((write, None)) => {
                findings.add(Rule::Invented, format!("nobody wrote {write}: {row:?}"));
            }
            _ => {}
        }
    }
    let mut made: HashMap<(&str, i64), i64> = HashMap::new();
    for (number, write) in &writes {
        if write.outcome == Outcome::Done
            && let Some(other) = made.insert((write.record, write.version), *number)
        {
            let (record, version) = (write.record, write.version);
            let text =
                format!("writes {other} and {number} both made version {version} of {record}");
            findings.add(Rule::WriteNotToldOnce, text);
        }
        if write.outcome == Outcome::Refused {
            continue;
        }
        let times = told.get(&(write.record, write.version)).copied();
        let times = times.unwrap_or(0);
        let is_sure = write.outcome == Outcome::Done && !write.may_be_set_aside;
        if times > 1 || (is_sure && times == 0) {
            let (record, version) = (write.record, write.version);
            let text = format!("write {number} of {record}, version {version}: {times} events");
            findings.add(Rule::WriteNotToldOnce, text);
        }
    }
}

fn writes(lines: &[Line]) -> BTreeMap<i64, Write<'_>> {
    let mut writes = BTreeMap::new();
    let mut full_since = None;
    for line in lines {
        match &line.entry {
            Entry::FaultBegan { fault, kind } if kind.contains(DISK_FULL) => {
                full_since = Some(*fault);
            }
            Entry::FaultEnded { fault } if full_since == Some(*fault) => full_since = None,
            Entry::Written {
                write,
                record,
                version,
            } => {
                let new = Write {
                    record,
                    version: *version,
                    outcome: Outcome::Unknown,
                    may_be_set_aside: full_since.is_some(),
                };
                writes.insert(*write, new);
            }
            Entry::WriteEnded { write, outcome } => {
                if let Some(write) = writes.get_mut(write) {
                    write.outcome = *outcome;
                    write.may_be_set_aside |= full_since.is_some();
                }
            }
            _ => {}
        }
    }
    writes
}
