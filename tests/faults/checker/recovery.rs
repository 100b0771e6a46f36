//! How long after a fault readers are up to date again.

use std::collections::BTreeMap;

use super::{Findings, Log, Rule};
use crate::history::{Entry, Interest, Line};

/// Every reader has caught up within this time of the end of a fault, in microseconds.
const LIMIT: u64 = 10_000_000;

/// How long readers took after the faults of one kind, in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    pub faults: usize,
    /// The slowest reader after each fault.
    pub slowest: Vec<u64>,
}

impl Recovery {
    /// The time that so many percent of the faults do not exceed.
    pub fn percentile(&self, percent: usize) -> u64 {
        let mut times = self.slowest.clone();
        times.sort_unstable();
        let last = times.len().saturating_sub(1);
        times.get(last * percent / 100).copied().unwrap_or(0)
    }
}

/// What a reader had at which time.
#[derive(Default)]
struct Progress<'a> {
    interest: Option<&'a Interest>,
    joined: u64,
    /// When its cursor was where.
    cursors: Vec<(u64, i64)>,
    /// When it was away on purpose: from, until.
    away: Vec<(u64, u64)>,
}

impl Progress<'_> {
    fn move_to(&mut self, at: u64, position: i64) {
        if self.cursors.last().is_none_or(|(_, last)| *last < position) {
            self.cursors.push((at, position));
        }
    }

    fn is_away(&self, from: u64, until: u64) -> bool {
        let mut away = self.away.iter();
        away.any(|(left, back)| *left <= until && from <= *back)
    }

    fn caught_up(&self, position: i64) -> Option<u64> {
        let at = self.cursors.partition_point(|(_, had)| *had < position);
        self.cursors.get(at).map(|(at, _)| *at)
    }
}

struct Fault<'a> {
    kind: &'a str,
    began: u64,
    ended: u64,
}

pub(super) fn check(lines: &[Line], log: &Log<'_>, findings: &mut Findings) {
    let readers = progress(lines);
    let faults = faults(lines);
    let end = lines.last().map_or(0, |line| line.at);
    let mut recoveries: BTreeMap<String, Recovery> = BTreeMap::new();
    for fault in &faults {
        recoveries.entry(fault.kind.to_owned()).or_default().faults += 1;
    }
    let mut slowest: Vec<Option<u64>> = vec![None; faults.len()];
    for (reader, progress) in &readers {
        let Some(interest) = progress.interest else {
            continue;
        };
        // What is for this reader, and when it was committed at the latest.
        let rows = log.rows.get(&interest.brokerage[..]);
        let rows = rows.into_iter().flat_map(BTreeMap::values);
        let mine: Vec<_> = rows
            .filter(|logged| interest.covers(logged.row))
            .map(|logged| (logged.at, logged.row.position))
            .collect();
        for (fault, slowest) in faults.iter().zip(&mut slowest) {
            let known = mine.partition_point(|(at, _)| *at <= fault.ended);
            let Some((_, position)) = mine[..known].last() else {
                continue;
            };
            if progress.joined > fault.began {
                continue;
            }
            let caught_up = progress.caught_up(*position);
            let until = caught_up.unwrap_or(end);
            if progress.is_away(fault.ended, until) {
                continue;
            }
            let took = until.saturating_sub(fault.ended);
            if took > LIMIT || caught_up.is_none() {
                let text = format!("{reader} took {} ms after {}", took / 1_000, fault.kind);
                findings.add(Rule::Slow, text);
            }
            *slowest = Some(slowest.unwrap_or(0).max(took));
        }
    }
    for (fault, slowest) in faults.iter().zip(slowest) {
        let recovery = recoveries.entry(fault.kind.to_owned()).or_default();
        recovery.slowest.extend(slowest);
    }
    findings.recoveries = recoveries;
}

fn faults(lines: &[Line]) -> Vec<Fault<'_>> {
    let mut open: BTreeMap<usize, Fault<'_>> = BTreeMap::new();
    let mut faults = Vec::new();
    for Line { at, entry } in lines {
        match entry {
            Entry::FaultBegan { fault, kind } => {
                let (began, ended) = (*at, *at);
                open.insert(*fault, Fault { kind, began, ended });
            }
            Entry::FaultEnded { fault } => {
                if let Some(fault) = open.remove(fault) {
                    faults.push(Fault {
                        ended: *at,
                        ..fault
                    });
                }
            }
            _ => {}
        }
    }
    faults
}

fn progress(lines: &[Line]) -> BTreeMap<&str, Progress<'_>> {
    let mut readers: BTreeMap<&str, Progress<'_>> = BTreeMap::new();
    for Line { at, entry } in lines {
        match entry {
            Entry::Joined {
                reader,
                interest,
                after,
                ..
            } => {
                let progress = readers.entry(reader).or_default();
                progress.interest = Some(interest);
                progress.joined = *at;
                progress.move_to(*at, *after);
            }
            Entry::Received {
                reader, position, ..
            }
            | Entry::Reset {
                reader, position, ..
            } => readers.entry(reader).or_default().move_to(*at, *position),
            Entry::Away { reader, away: true } => {
                let progress = readers.entry(reader).or_default();
                progress.away.push((*at, u64::MAX));
            }
            Entry::Away {
                reader,
                away: false,
            } => {
                let progress = readers.entry(reader).or_default();
                if let Some(last) = progress.away.last_mut() {
                    last.1 = *at;
                }
            }
            _ => {}
        }
    }
    readers
}
