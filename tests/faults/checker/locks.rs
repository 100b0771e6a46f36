//! Locks: one holder at a time, and every grant has a higher fence than the one before it.

use std::collections::{BTreeMap, HashMap};

use super::{Findings, Log, Rule};
use crate::history::{Entry, Line};

/// Leases are on the database's clock, which has milliseconds here. In microseconds.
const SLACK: u64 = 20_000;

/// A grant with its renewals, as its holder knows it.
#[derive(Clone, Debug)]
struct Grant<'a> {
    record: &'a str,
    holder: &'a str,
    fence: i64,
    asked: u64,
    answered: u64,
    /// Until when the holder may believe that it has the lock.
    until: u64,
}

pub(super) fn check(lines: &[Line], log: &Log<'_>, findings: &mut Findings) {
    let grants = grants(lines, findings);
    let mut by_record: BTreeMap<&str, Vec<&Grant<'_>>> = BTreeMap::new();
    for grant in grants.values() {
        by_record.entry(grant.record).or_default().push(grant);
    }
    for grants in by_record.values_mut() {
        grants.sort_by_key(|grant| grant.fence);
        check_order(grants, findings);
    }
    check_events(log, findings);
}

/// All grants, by record and fence.
fn grants<'a>(lines: &'a [Line], findings: &mut Findings) -> BTreeMap<(&'a str, i64), Grant<'a>> {
    let mut asks: HashMap<u64, (u64, &str, &str)> = HashMap::new();
    let mut grants: BTreeMap<(&str, i64), Grant<'_>> = BTreeMap::new();
    for Line { at, entry } in lines {
        match entry {
            Entry::LockAsked {
                ask,
                record,
                holder,
            } => {
                asks.insert(*ask, (*at, record, holder));
            }
            Entry::LockGranted { ask, fence, until } => {
                let Some((asked, record, holder)) = asks.get(ask).copied() else {
                    findings.add(Rule::Unfinished, format!("nobody asked {ask}"));
                    continue;
                };
                let new = Grant {
                    record,
                    holder,
                    fence: *fence,
                    asked,
                    answered: *at,
                    until: *until,
                };
                let grant = grants
                    .entry((record, *fence))
                    .or_insert_with(|| new.clone());
                if grant.holder != holder {
                    findings.add(Rule::FenceOrder, format!("{grant:?} and {new:?}"));
                }
                grant.until = grant.until.max(*until);
            }
            Entry::LockLeft { record, holder } => {
                let held = grants.values_mut().filter(|grant| {
                    grant.record == record && grant.holder == holder && grant.until > *at
                });
                held.for_each(|grant| grant.until = *at);
            }
            _ => {}
        }
    }
    grants
}

/// Grants of one record, by fence.
fn check_order(grants: &[&Grant<'_>], findings: &mut Findings) {
    let mut latest_ask: Option<&Grant<'_>> = None;
    let mut longest: Option<&Grant<'_>> = None;
    for grant in grants {
        // One with a lower fence was asked for after this one had been answered.
        if let Some(before) = latest_ask.filter(|before| before.asked > grant.answered) {
            findings.add(Rule::FenceOrder, format!("{before:?}, then {grant:?}"));
        }
        let overlapping =
            longest.filter(|before| before.until > grant.answered.saturating_add(SLACK));
        if let Some(before) = overlapping {
            findings.add(Rule::TwoHolders, format!("{before:?} and {grant:?}"));
        }
        if latest_ask.is_none_or(|before| before.asked < grant.asked) {
            latest_ask = Some(grant);
        }
        if longest.is_none_or(|before| before.until < grant.until) {
            longest = Some(grant);
        }
    }
}

/// In the log, `locked` and `unlocked` of a record alternate, with rising fences.
fn check_events(log: &Log<'_>, findings: &mut Findings) {
    // The fence that is held, or the last one that was.
    let mut locks: HashMap<(&str, &str), (i64, bool)> = HashMap::new();
    for row in log.all() {
        let Some(record) = &row.event.record else {
            continue;
        };
        let event_type = row.event.event_type.split(':').nth(1);
        let fence = row.event.subject.as_ref().and_then(|s| s.parse().ok());
        let (Some(verb @ ("locked" | "unlocked")), Some(fence)) = (event_type, fence) else {
            continue;
        };
        let lock = locks.entry((&row.brokerage, record)).or_insert((0, false));
        let is_right = match verb {
            "locked" => !lock.1 && fence > lock.0,
            _ => *lock == (fence, true),
        };
        if !is_right {
            findings.add(Rule::LockEvents, format!("{row:?} after {lock:?}"));
        }
        *lock = (fence, verb == "locked");
    }
}
