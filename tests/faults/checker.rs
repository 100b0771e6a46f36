//! Whether a history is as the service promises. A pure function: no clock, no network, no order of threads.

mod locks;
mod memory;
mod occurred;
mod presence;
mod publishing;
mod readers;
mod recovery;
mod sessions;
mod tasks;
#[cfg(test)]
mod tests;
mod writes;

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::history::{Entry, Line, LogRow};

pub use memory::measured;
pub use publishing::PUBLISHED;
use recovery::Recovery;

/// What a history must not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The history itself is not whole.
    Unfinished,
    /// An instance panicked, or ended by itself.
    Crashed,
    /// The log has a gap, or a position twice.
    Gap,
    /// What was acknowledged is not in the log where it was said to be.
    Lost,
    /// What was published once is in the log twice.
    Repeated,
    /// Nobody published it, or it was refused.
    Invented,
    /// What was published later came before.
    Reordered,
    /// Two acknowledgements of one request differ.
    AcknowledgedTwice,
    /// A reader did not receive what it may see.
    Missed,
    /// A reader received something twice, or out of order.
    ReadAgain,
    /// A reader received what is not for it.
    Leaked,
    /// A reader received another event than the log has there.
    Different,
    /// A reader was told that it misses events, but all were there.
    ResetWithoutCause,
    /// A private value was sent to somebody who may not see it.
    Unmasked,
    /// A private value was not sent to somebody who may see it.
    Masked,
    /// A stream went on after the end of its token.
    AfterExpiry,
    /// A stream was opened, or went on, with a token that had been revoked.
    AfterRevocation,
    /// A token or a ticket was refused that nobody had revoked.
    RefusedWithoutCause,
    /// A stream ended as expired before the end of its token, which may be one that it was given.
    EndedEarly,
    /// A committed write has no event, or more than one.
    WriteNotToldOnce,
    /// A write that was rolled back has an event.
    UndoneWriteTold,
    /// Two holders of a lock at the same time.
    TwoHolders,
    /// A later grant or claim has a lower fence, or two have the same.
    FenceOrder,
    /// `locked` and `unlocked` do not alternate.
    LockEvents,
    /// A task has no end.
    TaskNotEnded,
    /// A task has ended more than once.
    TaskEndedTwice,
    /// A worker was told that a task is over, and it is not so.
    TaskEndNotKept,
    /// The output of a task was read with a gap.
    OutputBroken,
    /// Records of an import are missing, or there twice.
    ImportBroken,
    /// Somebody is shown as online who is not, or the other way round.
    PresenceWrong,
    /// A reader was not up to date in time after a fault.
    Slow,
    /// An instance uses more and more memory.
    MemoryGrown,
    /// Something did not occur in a long run.
    Idle,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub text: String,
}

impl Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}", self.rule, self.text)
    }
}

/// What the checker found.
#[derive(Debug, Default)]
pub struct Findings {
    pub violations: Vec<Violation>,
    /// How long readers took after each kind of fault.
    pub recoveries: BTreeMap<String, Recovery>,
}

impl Findings {
    fn add(&mut self, rule: Rule, text: String) {
        self.violations.push(Violation { rule, text });
    }
}

/// The log of all brokerages, as the database had it.
struct Log<'a> {
    /// Per brokerage: rows by position, and when they were seen.
    rows: BTreeMap<&'a str, BTreeMap<i64, LoggedRow<'a>>>,
    /// Up to where retention has removed rows in the end.
    horizons: BTreeMap<&'a str, i64>,
    /// When each log got another epoch, in microseconds of the history.
    new_epochs: BTreeMap<&'a str, Vec<u64>>,
}

struct LoggedRow<'a> {
    at: u64,
    row: &'a LogRow,
}

impl<'a> Log<'a> {
    fn of(lines: &'a [Line], findings: &mut Findings) -> Self {
        let mut log = Self {
            rows: BTreeMap::new(),
            horizons: BTreeMap::new(),
            new_epochs: BTreeMap::new(),
        };
        for Line { at, entry } in lines {
            match entry {
                Entry::Logged(row) => {
                    let rows = log.rows.entry(&row.brokerage).or_default();
                    let expected = rows.last_key_value().map_or(1, |(last, _)| last + 1);
                    if row.position != expected {
                        let text = format!("{row:?}, where {expected} comes next");
                        findings.add(Rule::Gap, text);
                    }
                    rows.insert(row.position, LoggedRow { at: *at, row });
                }
                Entry::Trimmed { brokerage, horizon } => {
                    log.horizons.insert(brokerage, *horizon);
                }
                Entry::NewEpoch { brokerage } => {
                    log.new_epochs.entry(brokerage).or_default().push(*at);
                }
                _ => {}
            }
        }
        log
    }

    fn row(&self, brokerage: &str, position: i64) -> Option<&'a LogRow> {
        let rows = self.rows.get(brokerage)?;
        rows.get(&position).map(|logged| logged.row)
    }

    /// Rows of all brokerages, in order.
    fn all(&self) -> impl Iterator<Item = &'a LogRow> {
        let rows = self.rows.values().flat_map(BTreeMap::values);
        rows.map(|logged| logged.row)
    }
}

/// Everything in a history that must not be.
pub fn check(lines: &[Line]) -> Findings {
    let mut findings = Findings::default();
    whole(lines, &mut findings);
    let log = Log::of(lines, &mut findings);
    publishing::check(lines, &log, &mut findings);
    readers::check(lines, &log, &mut findings);
    sessions::check(lines, &log, &mut findings);
    writes::check(lines, &log, &mut findings);
    locks::check(lines, &log, &mut findings);
    tasks::check(lines, &log, &mut findings);
    presence::check(lines, &mut findings);
    recovery::check(lines, &log, &mut findings);
    memory::check(lines, &mut findings);
    occurred::check(lines, &mut findings);
    findings
}

fn whole(lines: &[Line], findings: &mut Findings) {
    if !lines.is_sorted_by_key(|line| line.at) {
        findings.add(Rule::Unfinished, "time goes back".to_owned());
    }
    for end in [Entry::Calm, Entry::LogRead, Entry::Ended] {
        if !lines.iter().any(|line| line.entry == end) {
            findings.add(Rule::Unfinished, format!("there is no {end:?}"));
        }
    }
    for line in lines {
        if let Entry::Crashed { instance, text } = &line.entry {
            findings.add(Rule::Crashed, format!("instance {instance}: {text}"));
        }
    }
}
