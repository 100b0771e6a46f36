//! Readers: everything that is for a reader, once, in order, and nothing else.

use std::collections::BTreeMap;

use super::{Findings, Log, Rule};
use crate::history::{Entry, EventFacts, Interest, Line, Privacy};

const MASKED: &str = "[REDACTED]";
/// A stream may write so long after its token has ended, in microseconds: its timers have whole
/// seconds, and the network may hold data back.
const LATE: u64 = 2_500_000;

/// What a reader has received, and where it goes on.
struct Reading<'a> {
    interest: &'a Interest,
    privacy: Option<Privacy>,
    after: i64,
    /// Up to where everything was received or was given up.
    cursor: i64,
    /// The next position to check for what is missing.
    checked: i64,
    expires: u64,
    /// Resets because the log had another epoch.
    renewals: usize,
}

/// Faults hold data back that was sent in time.
#[derive(Default)]
struct Faults {
    open: usize,
    last_end: u64,
}

impl Faults {
    fn was_any_since(&self, moment: u64) -> bool {
        self.open > 0 || self.last_end >= moment
    }
}

pub(super) fn check(lines: &[Line], log: &Log<'_>, findings: &mut Findings) {
    let mut readers: BTreeMap<&str, Reading<'_>> = BTreeMap::new();
    let mut faults = Faults::default();
    for Line { at, entry } in lines {
        match entry {
            Entry::FaultBegan { .. } => faults.open += 1,
            Entry::FaultEnded { .. } => {
                faults.open = faults.open.saturating_sub(1);
                faults.last_end = *at;
            }
            Entry::Joined {
                reader,
                interest,
                privacy,
                after,
            } => {
                let reading = Reading {
                    interest,
                    privacy: *privacy,
                    after: *after,
                    cursor: *after,
                    checked: *after,
                    expires: u64::MAX,
                    renewals: 0,
                };
                readers.insert(reader, reading);
            }
            Entry::Opened {
                reader, expires, ..
            }
            | Entry::Renewed { reader, expires } => {
                if let Some(reading) = readers.get_mut(&reader[..]) {
                    reading.expires = *expires;
                }
            }
            Entry::Received {
                reader,
                position,
                event,
                secret,
            } => {
                let Some(reading) = readers.get_mut(&reader[..]) else {
                    findings.add(Rule::Unfinished, format!("{reader} did not join"));
                    continue;
                };
                let received = Received {
                    reader,
                    position: *position,
                    event,
                };
                reading.receive(&received, log, findings);
                reading.check_secret(&received, secret.as_deref(), findings);
                reading.check_end(*at, reader, &faults, findings);
            }
            Entry::Reset {
                reader,
                reason,
                position,
            } => {
                if let Some(reading) = readers.get_mut(&reader[..]) {
                    reading.reset(reader, reason, *position, log, findings);
                }
            }
            _ => {}
        }
    }
    for (reader, reading) in &mut readers {
        reading.expect_nothing_before(reader, i64::MAX, log, findings);
    }
}

struct Received<'a> {
    reader: &'a str,
    position: i64,
    event: &'a EventFacts,
}

impl Reading<'_> {
    fn receive(&mut self, received: &Received<'_>, log: &Log<'_>, findings: &mut Findings) {
        let Received {
            reader,
            position,
            event,
        } = *received;
        if position <= self.cursor {
            let text = format!("{reader} at {}: {position} {event:?}", self.cursor);
            findings.add(Rule::ReadAgain, text);
            return;
        }
        let row = log.row(&self.interest.brokerage, position);
        match row {
            Some(row) if row.event != *event => {
                let text = format!("{reader} at {position}: {event:?}, not {row:?}");
                findings.add(Rule::Different, text);
            }
            Some(row) if !self.interest.covers(row) => {
                findings.add(Rule::Leaked, format!("{reader} got {row:?}"));
            }
            Some(_) => {}
            None => {
                let text = format!("{reader} got {position}, which is not in the log: {event:?}");
                findings.add(Rule::Invented, text);
            }
        }
        self.expect_nothing_before(reader, position, log, findings);
        self.cursor = position;
        self.checked = position;
    }

    /// Nothing of what was skipped is for this reader.
    fn expect_nothing_before(
        &mut self,
        reader: &str,
        position: i64,
        log: &Log<'_>,
        findings: &mut Findings,
    ) {
        let Some(rows) = log.rows.get(&self.interest.brokerage[..]) else {
            return;
        };
        let skipped = rows.range(self.checked + 1..).map(|(_, logged)| logged.row);
        for row in skipped.take_while(|row| row.position < position) {
            if self.interest.covers(row) {
                findings.add(Rule::Missed, format!("{reader} did not get {row:?}"));
            }
        }
    }

    fn check_end(&self, at: u64, reader: &str, faults: &Faults, findings: &mut Findings) {
        let is_late = at > self.expires.saturating_add(LATE);
        if is_late && !faults.was_any_since(self.expires) {
            let text = format!("{reader} at {at} us, after {} us", self.expires);
            findings.add(Rule::AfterExpiry, text);
        }
    }

    fn check_secret(&self, received: &Received<'_>, secret: Option<&str>, findings: &mut Findings) {
        let (Some(privacy), Some(secret)) = (self.privacy, secret) else {
            return;
        };
        let rule = match (privacy, secret == MASKED) {
            (Privacy::Nothing, false) => Rule::Unmasked,
            (Privacy::All, true) => Rule::Masked,
            _ => return,
        };
        let Received {
            reader, position, ..
        } = received;
        findings.add(rule, format!("{reader} at {position}: {secret}"));
    }

    fn reset(
        &mut self,
        reader: &str,
        reason: &str,
        position: i64,
        log: &Log<'_>,
        findings: &mut Findings,
    ) {
        let horizon = log.horizons.get(&self.interest.brokerage[..]);
        let horizon = horizon.copied().unwrap_or(0);
        let new_epochs = log.new_epochs.get(&self.interest.brokerage[..]);
        let is_renewed = reason == "unknown" && self.renewals < new_epochs.map_or(0, Vec::len);
        self.renewals += usize::from(is_renewed);
        if !is_renewed && (reason != "expired" || horizon <= self.cursor) {
            let (cursor, after) = (self.cursor, self.after);
            let text =
                format!("{reader} ({reason}) from {cursor}, begun at {after}, horizon {horizon}");
            findings.add(Rule::ResetWithoutCause, text);
        }
        self.cursor = self.cursor.max(position);
        self.checked = self.cursor;
    }
}
