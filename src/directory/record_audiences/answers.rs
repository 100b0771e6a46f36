//! The answers that an instance remembers: whom each record is shown to.
//!
//! An answer is of the newest event that tells of the record. Events come here as they are
//! committed, so an answer is right when it is given; its age is limited for the case that
//! this instance hears nothing of an event.

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::FRESH;
use crate::log::{Event, Shown};
use crate::platform::{BrokerId, RecordPath};

/// Answers that are remembered; then all of them are forgotten.
const MOST_ANSWERS: usize = 20_000;

/// Which record, of which broker.
pub(super) type AudienceKey = (BrokerId, RecordPath);

#[derive(Debug)]
struct Answer {
    shown: Shown,
    at: Instant,
}

/// What has happened to a record while a query asked for it.
#[derive(Debug, Default)]
struct Asked {
    newer: Option<Shown>,
    /// Something happened that nobody here knows.
    is_uncertain: bool,
}

/// The answers, and what the query that is on its way asks for.
#[derive(Debug, Default)]
pub(super) struct Answers {
    known: FxHashMap<BrokerId, FxHashMap<RecordPath, Answer>>,
    count: usize,
    asked: FxHashMap<AudienceKey, Asked>,
}

impl Answers {
    /// Whom a record is shown to, if that is known.
    pub(super) fn get(&self, (broker, record): &AudienceKey, now: Instant) -> Option<Shown> {
        let answer = self.known.get(broker)?.get(record)?;
        (now - answer.at < FRESH).then(|| answer.shown.clone())
    }

    /// A query for these records begins.
    pub(super) fn ask(&mut self, keys: impl IntoIterator<Item = AudienceKey>) {
        let asked = keys.into_iter().map(|key| (key, Asked::default()));
        self.asked = asked.collect();
    }

    pub(super) fn end_query(&mut self) {
        self.asked.clear();
    }

    /// What the query found of a record it asked for; gives the answer, which may be newer.
    pub(super) fn found(&mut self, key: AudienceKey, found: Shown, now: Instant) -> Shown {
        let asked = self.asked.get(&key);
        let is_uncertain = asked.is_some_and(|asked| asked.is_uncertain);
        let newer = asked.and_then(|asked| asked.newer.clone());
        let newer = newer.filter(|newer| newer.position > found.position);
        let shown = newer.unwrap_or(found);
        if !is_uncertain {
            let shown = shown.clone();
            self.remember(key, Answer { shown, at: now });
        }
        shown
    }

    fn remember(&mut self, (broker, record): AudienceKey, answer: Answer) {
        if self.count >= MOST_ANSWERS {
            self.known.clear();
            self.count = 0;
        }
        let of_broker = self.known.entry(broker).or_default();
        self.count += usize::from(of_broker.insert(record, answer).is_none());
    }

    /// These events are in a broker's log. They may come more than once, and late: gives who sees
    /// their records by now.
    pub(super) fn saw(
        &mut self,
        broker: &BrokerId,
        events: &[Event],
        now: Instant,
    ) -> FxHashMap<RecordPath, Shown> {
        let mut shown: FxHashMap<_, _> = events.iter().filter_map(Event::shows).collect();
        for (record, shown) in &mut shown {
            let key = (broker.clone(), record.clone());
            self.saw_one(&key, shown, now);
        }
        shown
    }

    fn saw_one(&mut self, key: &AudienceKey, shown: &mut Shown, now: Instant) {
        let known = self.known.get_mut(&key.0);
        if let Some(answer) = known.and_then(|known| known.get_mut(&key.1)) {
            if answer.shown.position > shown.position {
                shown.clone_from(&answer.shown);
            } else {
                let shown = shown.clone();
                *answer = Answer { shown, at: now };
            }
        }
        if let Some(asked) = self.asked.get_mut(key) {
            let newer = asked.newer.take();
            let newer = newer.filter(|newer| newer.position > shown.position);
            asked.newer = newer.or_else(|| Some(shown.clone()));
        }
    }

    /// Something happened in a broker's log that is not read here.
    pub(super) fn missed(&mut self, broker: &BrokerId) {
        let forgotten = self.known.remove(broker).map_or(0, |known| known.len());
        self.count -= forgotten;
        let asked = self.asked.iter_mut();
        for (_, asked) in asked.filter(|((of, _), _)| of == broker) {
            asked.is_uncertain = true;
        }
    }

    /// The same in any log.
    pub(super) fn missed_any(&mut self) {
        self.known.clear();
        self.count = 0;
        for asked in self.asked.values_mut() {
            asked.is_uncertain = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::log::NewEvent;

    fn key(record: &str) -> AudienceKey {
        ("b".parse().unwrap(), record.parse().unwrap())
    }

    fn told(position: i64, event_type: &str, audience: &str) -> Event {
        let event = NewEvent::new(audience.parse().unwrap(), event_type.parse().unwrap());
        Event {
            position,
            created_at: OffsetDateTime::UNIX_EPOCH,
            told: event.about(&key("escrows/e-1").1),
        }
    }

    fn at(position: i64, audience: &str) -> Shown {
        Shown {
            audience: audience.parse().unwrap(),
            position,
        }
    }

    fn known(answers: &Answers, now: Instant) -> Option<String> {
        let audience = answers.get(&key("escrows/e-1"), now);
        audience.map(|shown| shown.audience.to_string())
    }

    #[test]
    fn the_newest_event_of_a_record_says_who_sees_it_however_events_come() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        let (record, broker) = (key("escrows/e-1"), key("escrows/e-1").0);
        answers.ask([record.clone()]);
        answers.found(record.clone(), at(3, "team:a"), now);
        answers.saw(&broker, &[told(5, "escrow:created", "team:c")], now);
        // Own commits are told when they come to it, and not in the order of positions.
        let shown = answers.saw(&broker, &[told(4, "escrow:created", "team:b")], now);
        assert_eq!(shown[&record.1], at(5, "team:c"));
        assert_eq!(known(&answers, now).as_deref(), Some("team:c"));
        // These say nothing of who sees the record.
        answers.saw(&broker, &[told(6, "escrow:unlocked", "team:a")], now);
        answers.saw(&broker, &[told(7, "escrow:lock_available", "user:u")], now);
        assert_eq!(known(&answers, now).as_deref(), Some("team:c"));
        assert_eq!(known(&answers, now + FRESH), None);
        answers.missed(&broker);
        assert_eq!((known(&answers, now), answers.count), (None, 0));
    }

    #[test]
    fn what_happens_while_a_query_is_on_its_way_is_newer_than_its_answer() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        let (record, broker) = (key("escrows/e-1"), key("escrows/e-1").0);
        answers.ask([record.clone()]);
        answers.saw(&broker, &[told(9, "escrow:created", "team:b")], now);
        let found = answers.found(record.clone(), at(8, "team:a"), now);
        assert_eq!(found, at(9, "team:b"));
        // Somebody else has asked for the same record in the same query.
        answers.found(record.clone(), at(8, "team:a"), now);
        answers.end_query();
        assert_eq!(known(&answers, now).as_deref(), Some("team:b"));
        // The query was later than the event.
        answers.ask([record.clone()]);
        answers.saw(&broker, &[told(10, "escrow:created", "team:c")], now);
        answers.found(record.clone(), at(11, "team:d"), now);
        assert_eq!(known(&answers, now).as_deref(), Some("team:d"));
        // Whether it was, nobody knows: the answer is given, and not remembered.
        answers.ask([record.clone()]);
        answers.missed(&broker);
        assert_eq!(
            answers.found(record, at(11, "team:d"), now),
            at(11, "team:d")
        );
        assert_eq!(known(&answers, now), None);
    }

    #[test]
    fn answers_are_bounded() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        for n in 0..=MOST_ANSWERS {
            answers.found(key(&format!("m/r-{n}")), at(1, "broker"), now);
        }
        assert_eq!(answers.count, 1);
        answers.missed_any();
        assert_eq!((answers.count, answers.known.len()), (0, 0));
    }
}
