//! Publishing: what was acknowledged is in the log once, where it was said to be, and in order.

use std::collections::{BTreeMap, HashMap};

use super::{Findings, Log, Rule};
use crate::history::{Entry, Line, Outcome};

/// The type of the events of publishers.
pub const PUBLISHED: &str = "test:tick";

struct Request<'a> {
    brokerage: &'a str,
    numbers: &'a [i64],
    /// The newest position of this brokerage that anybody had been told when it was sent.
    known_before: i64,
    positions: Option<&'a [i64]>,
    is_refused: bool,
}

pub(super) fn check(lines: &[Line], log: &Log<'_>, findings: &mut Findings) {
    let requests = requests(lines, findings);
    let mut places: BTreeMap<i64, Vec<(&str, i64)>> = BTreeMap::new();
    for row in log.all() {
        if let (PUBLISHED, Some(number)) = (&row.event.event_type[..], row.event.number) {
            let place = (&row.brokerage[..], row.position);
            places.entry(number).or_default().push(place);
        }
    }
    let mut senders = HashMap::new();
    for request in requests.values() {
        senders.extend(request.numbers.iter().map(|number| (*number, request)));
        acknowledged(request, log, findings);
        whole_or_nothing(request, &places, findings);
    }
    for (number, places) in &places {
        if places.len() > 1 {
            findings.add(Rule::Repeated, format!("{number} is at {places:?}"));
        }
        let sender = senders.get(number);
        if sender.is_none_or(|request| request.is_refused || request.brokerage != places[0].0) {
            findings.add(Rule::Invented, format!("{number} is at {places:?}"));
        }
    }
}

fn requests<'a>(lines: &'a [Line], findings: &mut Findings) -> BTreeMap<u64, Request<'a>> {
    let mut requests: BTreeMap<u64, Request<'a>> = BTreeMap::new();
    let mut known: HashMap<&str, i64> = HashMap::new();
    for line in lines {
        match &line.entry {
            Entry::Sent {
                request,
                brokerage,
                numbers,
            } => {
                let sent = Request {
                    brokerage,
                    numbers,
                    known_before: known.get(&brokerage[..]).copied().unwrap_or(0),
                    positions: None,
                    is_refused: false,
                };
                requests.insert(*request, sent);
            }
            Entry::Acknowledged { request, positions } => {
                let Some(sent) = requests.get_mut(request) else {
                    findings.add(Rule::Unfinished, format!("{request} was not sent"));
                    continue;
                };
                if sent.positions.is_some_and(|before| before != positions) {
                    let text = format!("{:?}, then {positions:?}", sent.positions);
                    findings.add(Rule::AcknowledgedTwice, text);
                }
                sent.positions = Some(positions);
                let newest = positions.iter().max().copied().unwrap_or(0);
                let known = known.entry(sent.brokerage).or_default();
                *known = newest.max(*known);
            }
            Entry::Failed { request, outcome } if *outcome == Outcome::Refused => {
                if let Some(sent) = requests.get_mut(request) {
                    sent.is_refused = true;
                }
            }
            _ => {}
        }
    }
    requests
}

fn acknowledged(request: &Request<'_>, log: &Log<'_>, findings: &mut Findings) {
    let Some(positions) = request.positions else {
        return;
    };
    let numbers = request.numbers;
    if positions.len() != numbers.len() {
        let text = format!("{numbers:?} were acknowledged at {positions:?}");
        findings.add(Rule::Lost, text);
    }
    for (number, position) in numbers.iter().zip(positions) {
        let row = log.row(request.brokerage, *position);
        let is_there = row.is_some_and(|row| {
            row.event.event_type == PUBLISHED && row.event.number == Some(*number)
        });
        if !is_there {
            let text = format!("{number} was acknowledged at {position}, where {row:?} is");
            findings.add(Rule::Lost, text);
        }
    }
    let is_sorted = positions.is_sorted_by(|a, b| a < b);
    if !is_sorted || positions.iter().any(|at| *at <= request.known_before) {
        let known = request.known_before;
        let text = format!("{numbers:?} are at {positions:?}, but {known} was known before");
        findings.add(Rule::Reordered, text);
    }
}

/// All events of a request come one behind the other, or none came.
fn whole_or_nothing(
    request: &Request<'_>,
    places: &BTreeMap<i64, Vec<(&str, i64)>>,
    findings: &mut Findings,
) {
    let first = |number: &i64| places.get(number).map(|places| places[0].1);
    let positions: Vec<_> = request.numbers.iter().map(first).collect();
    let is_whole = positions
        .windows(2)
        .all(|two| two[1] == two[0].map(|position| position + 1));
    if !is_whole {
        let text = format!("{:?} of one request are at {positions:?}", request.numbers);
        findings.add(Rule::Reordered, text);
    }
}
