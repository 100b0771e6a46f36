//! A history that is in order.

use crate::history::{Entry, EventFacts, Interest, Line, LogRow, Outcome, Privacy};

/// Time between two entries, in microseconds.
const STEP: u64 = 10_000;

/// A history that is in order.
pub(super) struct Sample {
    pub(super) lines: Vec<Line>,
    readers: Vec<(String, Interest, Option<Privacy>)>,
    position: i64,
}

impl Sample {
    /// One that goes on at a position, without readers.
    pub(super) fn at(position: i64) -> Self {
        Self {
            lines: Vec::new(),
            readers: Vec::new(),
            position,
        }
    }

    fn new() -> Self {
        let mut sample = Self::at(0);
        sample.note(Entry::Began {
            seed: 1,
            instances: 3,
            clock_ms: 0,
        });
        let of_ann = ["user:ann", "team:a", "broker"];
        sample.join("ann", &of_ann, Some(Privacy::Nothing));
        sample.join("boss", &of_ann[1..], Some(Privacy::All));
        sample.join("bob", &["team:b"], None);
        sample
    }

    fn note(&mut self, entry: Entry) {
        let at = self.lines.last().map_or(0, |line| line.at + STEP);
        self.lines.push(Line { at, entry });
    }

    fn join(&mut self, reader: &str, audiences: &[&str], privacy: Option<Privacy>) {
        let interest = Interest {
            brokerage: "b".to_owned(),
            audiences: audiences.iter().map(ToString::to_string).collect(),
            types: None,
            record: None,
        };
        let reader = reader.to_owned();
        self.readers
            .push((reader.clone(), interest.clone(), privacy));
        self.note(Entry::Joined {
            reader: reader.clone(),
            interest,
            privacy,
            after: self.position,
        });
        self.note(Entry::Opened {
            reader,
            instance: 0,
            expires: 60_000_000,
            token: None,
        });
    }

    /// An event of the log, and what every reader gets of it.
    pub(super) fn log(&mut self, audience: &str, event: &EventFacts) {
        self.position += 1;
        let row = LogRow {
            brokerage: "b".to_owned(),
            position: self.position,
            audience: audience.to_owned(),
            event: event.clone(),
        };
        self.note(Entry::Logged(row.clone()));
        for (reader, interest, privacy) in self.readers.clone() {
            let secret = event
                .event_type
                .starts_with("deal:")
                .then(|| match privacy {
                    Some(Privacy::All) => "7".to_owned(),
                    _ => "[REDACTED]".to_owned(),
                });
            if interest.covers(&row) {
                self.note(Entry::Received {
                    reader,
                    position: self.position,
                    event: event.clone(),
                    secret,
                });
            }
        }
    }

    fn publish(&mut self, request: u64, audience: &str, number: i64) {
        self.note(Entry::Sent {
            request,
            brokerage: "b".to_owned(),
            numbers: vec![number],
        });
        self.log(audience, &tick(number));
    }

    fn acknowledge(&mut self, request: u64) {
        let positions = vec![self.position];
        self.note(Entry::Acknowledged { request, positions });
    }

    fn lock(&mut self, ask: u64, holder: &str, fence: i64) {
        let (record, holder) = ("escrows/e-1".to_owned(), holder.to_owned());
        self.note(Entry::LockAsked {
            ask,
            record: record.clone(),
            holder: holder.clone(),
        });
        self.log("team:a", &about_lock("escrow:locked", fence));
        let until = self.lines.last().expect("a line").at + 10_000_000;
        self.note(Entry::LockGranted { ask, fence, until });
        self.note(Entry::LockLeft { record, holder });
        self.log("team:a", &about_lock("escrow:unlocked", fence));
    }

    fn write(&mut self, write: i64, version: i64, outcome: Outcome) {
        let record = "deals/d-1".to_owned();
        self.note(Entry::Written {
            write,
            record: record.clone(),
            version,
        });
        self.note(Entry::WriteEnded { write, outcome });
        if outcome == Outcome::Done {
            let event = EventFacts {
                event_type: "deal:updated".to_owned(),
                record: Some(record),
                version: Some(version),
                number: Some(write),
                subject: None,
            };
            self.log("team:a", &event);
        }
    }

    fn do_task(&mut self) {
        let task = || "t-1".to_owned();
        self.note(Entry::TaskAsked { task: task() });
        let asked = self.lines.last().expect("a line").at;
        self.note(Entry::Claimed {
            task: task(),
            fence: 1,
            asked,
        });
        let asked = asked + 3 * STEP;
        self.note(Entry::Claimed {
            task: task(),
            fence: 2,
            asked,
        });
        let event = EventFacts {
            event_type: "ai:task:completed".to_owned(),
            subject: Some(task()),
            version: Some(3),
            ..EventFacts::default()
        };
        self.log("user:ann", &event);
        self.note(Entry::TaskEndAnswered {
            task: task(),
            fence: 2,
            state: "completed".to_owned(),
            outcome: Outcome::Done,
        });
        self.note(Entry::TaskState {
            task: task(),
            state: "completed".to_owned(),
        });
    }

    /// A reader whose token is revoked, and who comes back with another one.
    fn revoke(&mut self) {
        let reader = || "bob".to_owned();
        let opened = |token: &str| Entry::Opened {
            reader: reader(),
            instance: 1,
            expires: 60_000_000,
            token: Some(token.to_owned()),
        };
        let token = || "t-1".to_owned();
        self.note(opened("t-1"));
        self.note(Entry::RevocationAsked { token: token() });
        self.note(Entry::Revoked { token: token() });
        let (reason, code) = ("revoked".to_owned(), "token_revoked".to_owned());
        self.note(Entry::Closed {
            reader: reader(),
            reason,
        });
        self.note(Entry::NotOpened {
            reader: reader(),
            code,
            token: Some(token()),
        });
        self.note(opened("t-2"));
        self.publish(5, "team:b", 5);
        self.acknowledge(5);
    }

    /// A stream that gets a fresh token.
    fn renew(&mut self) {
        self.note(Entry::Renewed {
            reader: "ann".to_owned(),
            expires: 90_000_000,
        });
    }

    pub(super) fn whole() -> Vec<Line> {
        let mut sample = Self::new();
        sample.publish(1, "team:a", 1);
        sample.acknowledge(1);
        sample.note(Entry::FaultBegan {
            fault: 0,
            kind: "kill".to_owned(),
        });
        sample.publish(2, "broker", 2);
        sample.note(Entry::Failed {
            request: 2,
            outcome: Outcome::Unknown,
        });
        sample.note(Entry::FaultEnded { fault: 0 });
        sample.note(Entry::Sent {
            request: 3,
            brokerage: "b".to_owned(),
            numbers: vec![3],
        });
        sample.note(Entry::Failed {
            request: 3,
            outcome: Outcome::Refused,
        });
        sample.publish(4, "team:b", 4);
        sample.acknowledge(4);
        sample.write(100, 1, Outcome::Done);
        sample.write(101, 2, Outcome::Refused);
        sample.write(102, 2, Outcome::Done);
        sample.lock(1, "ann", 1);
        sample.lock(2, "bob", 2);
        sample.do_task();
        sample.revoke();
        sample.renew();
        for place in ["instance 0", "a stream"] {
            sample.note(Entry::PresenceExpected {
                brokerage: "b".to_owned(),
                users: vec!["ann".to_owned()],
            });
            sample.note(Entry::PresenceSeen {
                place: place.to_owned(),
                brokerage: "b".to_owned(),
                users: vec!["ann".to_owned()],
            });
        }
        for _ in 0..90 {
            sample.note(Entry::Memory {
                instance: 0,
                process: 7,
                kib: 40_000,
            });
        }
        sample.note(Entry::Imported {
            task: "i-1".to_owned(),
            rows: 10,
            found: 10,
            different: 10,
            state: "completed".to_owned(),
        });
        sample.note(Entry::OutputRead {
            task: "t-1".to_owned(),
            whole: true,
        });
        for end in [Entry::Calm, Entry::LogRead, Entry::Ended] {
            sample.note(end);
        }
        sample.lines
    }
}

fn tick(number: i64) -> EventFacts {
    EventFacts {
        event_type: "test:tick".to_owned(),
        number: Some(number),
        ..EventFacts::default()
    }
}

fn about_lock(event_type: &str, fence: i64) -> EventFacts {
    EventFacts {
        event_type: event_type.to_owned(),
        record: Some("escrows/e-1".to_owned()),
        subject: Some(fence.to_string()),
        ..EventFacts::default()
    }
}
