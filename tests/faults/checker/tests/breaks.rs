//! Every way to break a history, and the rule that must be found broken.

use super::sample::Sample;
use crate::checker::Rule;
use crate::history::{Entry, EventFacts, Line, LogRow, Outcome};

pub(super) type Break = fn(&mut Vec<Line>);

/// The place of the first entry that meets a condition.
pub(super) fn place(lines: &[Line], condition: impl Fn(&Entry) -> bool) -> usize {
    let place = lines.iter().position(|line| condition(&line.entry));
    place.expect("an entry")
}

fn received(lines: &[Line], of: &str) -> usize {
    place(
        lines,
        |entry| matches!(entry, Entry::Received { reader, .. } if reader == of),
    )
}

fn logged(lines: &[Line], at: i64) -> usize {
    place(
        lines,
        |entry| matches!(entry, Entry::Logged(row) if row.position == at),
    )
}

/// Puts an entry behind a place, at the same time.
pub(super) fn put(lines: &mut Vec<Line>, place: usize, entry: Entry) {
    let at = lines[place].at;
    lines.insert(place + 1, Line { at, entry });
}

/// Everything from a place on happens three seconds later.
fn later(lines: &mut [Line], place: usize) {
    for line in &mut lines[place..] {
        line.at += 3_000_000;
    }
}

/// The numbers of the events change their places in the log, for everyone.
fn exchange(lines: &mut [Line], one: i64, other: i64) {
    for line in lines {
        let (position, event) = match &mut line.entry {
            Entry::Logged(row) => (row.position, &mut row.event),
            Entry::Received {
                position, event, ..
            } => (*position, event),
            _ => continue,
        };
        if position == one || position == other {
            let changed = [(one, other), (other, one)];
            let number = event.number.expect("a number");
            let found = changed.iter().find(|(from, _)| *from == number);
            event.number = found.map(|(_, to)| *to);
        }
    }
}

pub(super) const BREAKS: &[(&str, Rule, Break)] = &[
    ("the end is missing", Rule::Unfinished, |lines| {
        lines.pop();
    }),
    ("time goes back", Rule::Unfinished, |lines| {
        lines[5].at += 60_000_000;
    }),
    ("an instance panics", Rule::Crashed, |lines| {
        let text = "panicked at".to_owned();
        put(lines, 5, Entry::Crashed { instance: 1, text });
    }),
    ("the log has a gap", Rule::Gap, |lines| {
        let at = logged(lines, 2);
        lines.remove(at);
    }),
    ("an acknowledged event is not there", Rule::Lost, |lines| {
        let at = place(lines, |e| matches!(e, Entry::Acknowledged { .. }));
        lines[at].entry = Entry::Acknowledged {
            request: 1,
            positions: vec![5],
        };
    }),
    ("an event is in the log twice", Rule::Repeated, |lines| {
        let at = logged(lines, 3);
        let Entry::Logged(row) = &mut lines[at].entry else {
            panic!("a row");
        };
        row.event.number = Some(2);
    }),
    ("a refused event is in the log", Rule::Invented, |lines| {
        let at = place(lines, |e| matches!(e, Entry::Failed { request: 2, .. }));
        lines[at].entry = Entry::Failed {
            request: 2,
            outcome: Outcome::Refused,
        };
    }),
    ("an event was not sent", Rule::Invented, |lines| {
        let at = place(lines, |e| matches!(e, Entry::Sent { request: 2, .. }));
        lines.remove(at);
    }),
    ("a later event comes first", Rule::Reordered, |lines| {
        exchange(lines, 1, 2);
        let at = place(lines, |e| matches!(e, Entry::Failed { request: 2, .. }));
        let positions = vec![1];
        lines[at].entry = Entry::Acknowledged {
            request: 2,
            positions,
        };
        let at = place(lines, |e| {
            matches!(e, Entry::Acknowledged { request: 1, .. })
        });
        let positions = vec![2];
        lines[at].entry = Entry::Acknowledged {
            request: 1,
            positions,
        };
    }),
    (
        "a request is acknowledged at two places",
        Rule::AcknowledgedTwice,
        |lines| {
            let at = place(lines, |e| {
                matches!(e, Entry::Acknowledged { request: 1, .. })
            });
            let positions = vec![3];
            put(
                lines,
                at,
                Entry::Acknowledged {
                    request: 1,
                    positions,
                },
            );
        },
    ),
    ("half of a request is there", Rule::Reordered, |lines| {
        let at = place(lines, |e| matches!(e, Entry::Sent { request: 2, .. }));
        lines[at].entry = Entry::Sent {
            request: 2,
            brokerage: "b".to_owned(),
            numbers: vec![2, 22],
        };
    }),
    ("a reader misses an event", Rule::Missed, |lines| {
        let at = received(lines, "ann");
        lines.remove(at);
    }),
    ("a reader misses the last events", Rule::Missed, |lines| {
        let cut = logged(lines, 8);
        let mut at = 0;
        lines.retain(|line| {
            at += 1;
            let is_of_boss =
                matches!(&line.entry, Entry::Received { reader, .. } if reader == "boss");
            at < cut || !is_of_boss
        });
    }),
    ("a reader gets an event twice", Rule::ReadAgain, |lines| {
        let at = received(lines, "ann");
        let again = lines[at].entry.clone();
        put(lines, at, again);
    }),
    (
        "a reader gets events out of order",
        Rule::ReadAgain,
        |lines| {
            let first = received(lines, "ann");
            let second = first + 1 + received(&lines[first + 1..], "ann");
            let entry = lines[first].entry.clone();
            lines[first].entry = lines[second].entry.clone();
            lines[second].entry = entry;
        },
    ),
    (
        "a reader gets another team's event",
        Rule::Leaked,
        |lines| {
            let at = logged(lines, 3);
            let Entry::Logged(row) = lines[at].entry.clone() else {
                panic!("a row");
            };
            let (reader, secret) = ("ann".to_owned(), None);
            let (position, event) = (row.position, row.event);
            put(
                lines,
                at,
                Entry::Received {
                    reader,
                    position,
                    event,
                    secret,
                },
            );
        },
    ),
    ("a reader gets other content", Rule::Different, |lines| {
        let at = received(lines, "ann");
        let Entry::Received { event, .. } = &mut lines[at].entry else {
            panic!("an event");
        };
        event.number = Some(77);
    }),
    (
        "a reset without a cause",
        Rule::ResetWithoutCause,
        |lines| {
            let at = received(lines, "ann");
            let (reader, reason) = ("ann".to_owned(), "unknown".to_owned());
            let position = 1;
            put(
                lines,
                at,
                Entry::Reset {
                    reader,
                    reason,
                    position,
                },
            );
        },
    ),
    ("a private value is shown", Rule::Unmasked, |lines| {
        let of_ann = |e: &Entry| matches!(e, Entry::Received { reader, secret: Some(_), .. } if reader == "ann");
        let at = place(lines, of_ann);
        let Entry::Received { secret, .. } = &mut lines[at].entry else {
            panic!("an event");
        };
        *secret = Some("7".to_owned());
    }),
    (
        "a private value is hidden from an admin",
        Rule::Masked,
        |lines| {
            let of_boss = |e: &Entry| matches!(e, Entry::Received { reader, secret: Some(_), .. } if reader == "boss");
            let at = place(lines, of_boss);
            let Entry::Received { secret, .. } = &mut lines[at].entry else {
                panic!("an event");
            };
            *secret = Some("[REDACTED]".to_owned());
        },
    ),
    ("a stream outlives its token", Rule::AfterExpiry, |lines| {
        let expiry = lines[logged(lines, 4)].at;
        let of_ann = |e: &Entry| matches!(e, Entry::Opened { reader, .. } if reader == "ann");
        let at = place(lines, of_ann);
        let Entry::Opened { expires, .. } = &mut lines[at].entry else {
            panic!("a stream");
        };
        *expires = expiry;
        for line in lines.iter_mut().filter(|line| line.at > expiry) {
            line.at += 5_000_000;
        }
    }),
    (
        "a committed write is not told",
        Rule::WriteNotToldOnce,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::Written { write: 102, .. }));
            let Entry::Written { version, .. } = &mut lines[at].entry else {
                panic!("a write");
            };
            *version = 3;
        },
    ),
    (
        "a committed write is told twice",
        Rule::WriteNotToldOnce,
        |lines| {
            for line in lines {
                let (Entry::Logged(LogRow { event, .. }) | Entry::Received { event, .. }) =
                    &mut line.entry
                else {
                    continue;
                };
                if event.version == Some(2) {
                    event.version = Some(1);
                }
            }
        },
    ),
    ("a write is carried out twice", Rule::Repeated, |lines| {
        for line in lines {
            let (Entry::Logged(LogRow { event, .. }) | Entry::Received { event, .. }) =
                &mut line.entry
            else {
                continue;
            };
            if event.number == Some(102) {
                event.number = Some(100);
            }
        }
    }),
    (
        "two writes make the same version",
        Rule::WriteNotToldOnce,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::Written { write: 102, .. }));
            let Entry::Written { version, .. } = &mut lines[at].entry else {
                panic!("a write");
            };
            *version = 1;
        },
    ),
    (
        "a write that was undone is told",
        Rule::UndoneWriteTold,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::WriteEnded { write: 102, .. }));
            let (write, outcome) = (102, Outcome::Refused);
            lines[at].entry = Entry::WriteEnded { write, outcome };
        },
    ),
    ("a lock has two holders", Rule::TwoHolders, |lines| {
        let at = place(lines, |e| matches!(e, Entry::LockLeft { .. }));
        lines.remove(at);
    }),
    (
        "a later grant has a lower fence",
        Rule::FenceOrder,
        |lines| {
            for line in lines {
                if let Entry::LockGranted { fence, .. } = &mut line.entry {
                    *fence = 3 - *fence;
                }
            }
        },
    ),
    (
        "two holders have the same fence",
        Rule::FenceOrder,
        |lines| {
            for line in lines {
                if let Entry::LockGranted { fence, .. } = &mut line.entry {
                    *fence = 1;
                }
            }
        },
    ),
    (
        "a lock is told twice without an end",
        Rule::LockEvents,
        |lines| {
            for line in lines {
                let (Entry::Logged(LogRow { event, .. }) | Entry::Received { event, .. }) =
                    &mut line.entry
                else {
                    continue;
                };
                if event.event_type == "escrow:unlocked" {
                    event.event_type = "escrow:locked".to_owned();
                }
            }
        },
    ),
    ("a task has no end", Rule::TaskNotEnded, |lines| {
        let at = place(lines, |e| matches!(e, Entry::TaskState { .. }));
        lines.remove(at);
    }),
    ("a task ends twice", Rule::TaskEndedTwice, |lines| {
        let mut sample = Sample::at(10);
        let event = EventFacts {
            event_type: "ai:task:failed".to_owned(),
            subject: Some("t-1".to_owned()),
            version: Some(4),
            ..EventFacts::default()
        };
        sample.log("user:zoe", &event);
        let at = place(lines, |e| *e == Entry::Calm);
        put(lines, at, sample.lines[0].entry.clone());
    }),
    (
        "a task does not end as its worker was told",
        Rule::TaskEndNotKept,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::TaskEndAnswered { .. }));
            let Entry::TaskEndAnswered { state, .. } = &mut lines[at].entry else {
                panic!("an end");
            };
            *state = "failed".to_owned();
        },
    ),
    (
        "two claims have the same fence",
        Rule::FenceOrder,
        |lines| {
            for line in lines {
                if let Entry::Claimed { fence, .. } = &mut line.entry {
                    *fence = 1;
                }
            }
        },
    ),
    (
        "the output of a task has a hole",
        Rule::OutputBroken,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::OutputRead { .. }));
            let (task, whole) = ("t-1".to_owned(), false);
            lines[at].entry = Entry::OutputRead { task, whole };
        },
    ),
    (
        "an import makes a record twice",
        Rule::ImportBroken,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::Imported { .. }));
            let Entry::Imported { different, .. } = &mut lines[at].entry else {
                panic!("an import");
            };
            *different = 9;
        },
    ),
    (
        "somebody who has left is shown",
        Rule::PresenceWrong,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::PresenceSeen { .. }));
            let Entry::PresenceSeen { users, .. } = &mut lines[at].entry else {
                panic!("a list");
            };
            users.push("zoe".to_owned());
        },
    ),
    (
        "a stream goes on although its token is revoked",
        Rule::AfterRevocation,
        |lines| {
            let revoked = place(lines, |e| matches!(e, Entry::Revoked { .. }));
            // The end, the refusal and the new stream.
            lines.drain(revoked + 1..revoked + 4);
            later(lines, revoked + 1);
        },
    ),
    (
        "a revoked token is accepted",
        Rule::AfterRevocation,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::NotOpened { .. }));
            let Entry::Opened { token, .. } = &mut lines[at + 1].entry else {
                panic!("a stream");
            };
            *token = Some("t-1".to_owned());
            later(lines, at + 1);
        },
    ),
    (
        "a token is refused that nobody revoked",
        Rule::RefusedWithoutCause,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::RevocationAsked { .. }));
            lines.remove(at);
        },
    ),
    ("a ticket is refused", Rule::RefusedWithoutCause, |lines| {
        let (reader, code) = ("ann".to_owned(), "ticket_invalid".to_owned());
        let token = None;
        put(
            lines,
            5,
            Entry::NotOpened {
                reader,
                code,
                token,
            },
        );
    }),
    (
        "a stream ends although it was renewed",
        Rule::EndedEarly,
        |lines| {
            let at = place(lines, |e| matches!(e, Entry::Renewed { .. }));
            let (reader, reason) = ("ann".to_owned(), "expired".to_owned());
            put(lines, at, Entry::Closed { reader, reason });
            lines[at + 1].at = 60_000_000;
            for line in &mut lines[at + 2..] {
                line.at += 60_000_000;
            }
        },
    ),
    ("a reader is up to date late", Rule::Slow, |lines| {
        let of_bob = received(lines, "bob");
        let fault = place(lines, |e| matches!(e, Entry::FaultEnded { .. }));
        let ended = lines.remove(fault);
        let logged = logged(lines, 3);
        lines.insert(logged + 1, ended);
        let behind = lines[logged].at;
        lines[logged + 1].at = behind;
        for line in &mut lines[of_bob..] {
            line.at += 11_000_000;
        }
    }),
    ("memory grows", Rule::MemoryGrown, |lines| {
        let mut n = 0;
        for line in lines {
            if let Entry::Memory { kib, .. } = &mut line.entry {
                n += 1;
                *kib += n * 2_000;
            }
        }
    }),
];
