//! What a run did and found, for people.

use std::collections::BTreeMap;

use crate::checker::{Findings, measured};
use crate::history::{Entry, Line, Outcome};

/// Seconds after which the memory of a process says something.
const LONG: usize = 60;
/// How many times of its life are printed.
const PARTS: usize = 6;
/// Violations of one rule that are printed.
const MOST: usize = 5;

#[expect(clippy::print_stdout, reason = "a report")]
pub fn print(lines: &[Line], findings: &Findings) {
    print_counts(lines);
    println!("\nfault                 times   readers up to date after: median, slowest");
    for (kind, recovery) in &findings.recoveries {
        let ms = |percent| recovery.percentile(percent) / 1_000;
        let times = recovery.faults;
        println!("{kind:<20} {times:>6} {:>24} ms {:>8} ms", ms(50), ms(100));
    }
    println!();
    print_memory(lines);
    let mut by_rule: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for violation in &findings.violations {
        by_rule.entry(violation.rule).or_default().push(violation);
    }
    for (rule, violations) in &by_rule {
        println!("\n{rule:?}: {}", violations.len());
        violations
            .iter()
            .take(MOST)
            .for_each(|violation| println!("  {violation}"));
    }
    if by_rule.is_empty() {
        println!("\nnothing lost, repeated, reordered or leaked");
    }
}

/// How often what happened.
#[expect(clippy::print_stdout, reason = "a report")]
fn print_counts(lines: &[Line]) {
    let count = |is: fn(&Entry) -> bool| lines.iter().filter(|line| is(&line.entry)).count();
    println!(
        "{} s, {} faults; {} requests with events ({} acknowledged), {} events in the log, {} received, {} resets",
        lines.last().map_or(0, |line| line.at / 1_000_000),
        count(|e| matches!(e, Entry::FaultEnded { .. })),
        count(|e| matches!(e, Entry::Sent { .. })),
        count(|e| matches!(e, Entry::Acknowledged { .. })),
        count(|e| matches!(e, Entry::Logged(_))),
        count(|e| matches!(e, Entry::Received { .. })),
        count(|e| matches!(e, Entry::Reset { .. })),
    );
    println!(
        "{} grants of locks, {} writes of records, {} tasks, {} claims, {} imports, {} streams opened",
        count(|e| matches!(e, Entry::LockGranted { .. })),
        count(|e| matches!(e, Entry::Written { .. })),
        count(|e| matches!(e, Entry::TaskAsked { .. })),
        count(|e| matches!(e, Entry::Claimed { .. })),
        count(|e| matches!(e, Entry::Imported { .. })),
        count(|e| matches!(e, Entry::Opened { .. })),
    );
    println!(
        "{} tokens revoked, {} streams renewed",
        count(|e| matches!(e, Entry::Revoked { .. })),
        count(|e| matches!(e, Entry::Renewed { .. })),
    );
    println!(
        "{} writes undone or refused, {} streams ended with their token, {} drained, {} times away, {} times retention removed events",
        count(|e| matches!(
            e,
            Entry::WriteEnded {
                outcome: Outcome::Refused,
                ..
            }
        )),
        count(|e| matches!(e, Entry::Closed { reason, .. } if reason == "expired")),
        count(|e| matches!(e, Entry::Closed { reason, .. } if reason == "drain")),
        count(|e| matches!(e, Entry::Away { away: true, .. })),
        count(|e| matches!(e, Entry::Trimmed { .. })),
    );
    let refused = lines.iter().map(|line| match line.entry {
        Entry::DiskFull { refused } => refused,
        _ => 0,
    });
    let unsure = count(|e| {
        matches!(
            e,
            Entry::Failed {
                outcome: Outcome::Unknown,
                ..
            }
        )
    });
    println!(
        "{unsure} publications without an answer; Postgres could not write {} times while its disk was full",
        refused.sum::<usize>()
    );
}

/// The memory of processes that lived long enough, at equal distances.
#[expect(clippy::print_stdout, reason = "a report")]
fn print_memory(lines: &[Line]) {
    for ((instance, process), sizes) in measured(lines) {
        let seconds = sizes.len();
        if seconds >= LONG {
            let at = |part: usize| sizes[(seconds - 1) * part / PARTS] / 1_024;
            let mib: Vec<_> = (0..=PARTS).map(|part| at(part).to_string()).collect();
            let mib = mib.join(" ");
            println!("memory of instance {instance}, process {process}, {seconds} s: {mib} MiB");
        }
    }
}
