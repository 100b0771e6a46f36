//! Writes on watched tables, and of records of the service: a committed one has its event, one that was undone or
//! refused has none.

use std::collections::{BTreeMap, HashMap};

use super::{Findings, Log, Rule};
use crate::history::{Entry, Line, Outcome};

/// The fault in which Postgres cannot write.
const DISK_FULL: &str = "disk full";
/// The brokerage of all records.
const BROKERAGE: &str = "b";
/// Records that only the service writes: their changes have events, or fail.
const OF_SERVICE: &str = "escrows/";
/// The time between two resets because of lost changes, in microseconds.
const BETWEEN_RESETS: u64 = 60_000_000;

struct Write<'a> {
    record: &'a str,
    version: i64,
    outcome: Outcome,
    /// When it ended, if the disk was full: a trigger that cannot describe a write of the CRM does not fail it. Then all
    /// readers get a reset.
    lost_at: Option<u64>,
}

impl Write<'_> {
    /// Whether readers got a reset after it, or will get one.
    fn is_made_good(&self, log: &Log<'_>) -> bool {
        let resets = log.new_epochs.get(BROKERAGE).into_iter().flatten();
        let lost_at = self
            .lost_at
            .filter(|_| !self.record.starts_with(OF_SERVICE));
        lost_at.is_some_and(|lost| {
            resets
                .max()
                .is_some_and(|last| *last + BETWEEN_RESETS >= lost)
        })
    }
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
        let is_sure = write.outcome == Outcome::Done && !write.is_made_good(log);
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
                    lost_at: full_since.map(|_| line.at),
                };
                writes.insert(*write, new);
            }
            Entry::WriteEnded { write, outcome } => {
                if let Some(write) = writes.get_mut(write) {
                    write.outcome = *outcome;
                    let is_full = full_since.is_some() || write.lost_at.is_some();
                    write.lost_at = is_full.then_some(line.at);
                }
            }
            _ => {}
        }
    }
    writes
}
