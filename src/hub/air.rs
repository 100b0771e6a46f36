//! What is in the air of one broker: whispers, which are told once and never kept.
//!
//! A whisper says how a state has changed (who is online, who is typing). Streams hear
//! them from their own place in a short ring, as they read the log; one that falls out
//! of it is told, and asks for the state as a whole instead.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Encoded;
use crate::event::{Audience, Event};

/// Whispers that are in the air of one broker at the most, and their bytes.
const MOST_WHISPERS: usize = 2_048;
const MOST_BYTES: usize = 1 << 20;
/// A whisper's share of memory beside its bytes.
const WHISPER_OVERHEAD_BYTES: usize = 128;

/// A change of state, ready to be written.
#[derive(Debug)]
pub struct Whisper {
    told: Vec<(Audience, Option<Arc<Encoded>>)>,
    /// Only for streams that look at certain records.
    for_records_only: bool,
}

impl Whisper {
    /// The same words for all of these audiences.
    #[must_use]
    pub fn of(event: &Event, audiences: &[Audience]) -> Self {
        let encoded = Arc::new(Encoded::of(event, None));
        let told = |audience: &Audience| (audience.clone(), Some(Arc::clone(&encoded)));
        Self::new(audiences.iter().map(told))
    }

    /// Words of its own for each audience; who is in several hears the first.
    #[must_use]
    pub fn each(events: impl IntoIterator<Item = Event>) -> Self {
        let told = |event: Event| {
            let encoded = Encoded::of(&event, None);
            (event.told.audience, Some(Arc::new(encoded)))
        };
        Self::new(events.into_iter().map(told))
    }

    /// Lets streams of these audiences tell the state as a whole again.
    #[must_use]
    pub fn look_again(audiences: impl IntoIterator<Item = Audience>) -> Self {
        Self::new(audiences.into_iter().map(|a| (a, None)))
    }

    fn new(told: impl Iterator<Item = (Audience, Option<Arc<Encoded>>)>) -> Self {
        Self {
            told: told.collect(),
            for_records_only: false,
        }
    }

    /// The same, but nobody is woken by it, and only streams that look at certain records
    /// hear it: for what would be a flood to everybody else.
    #[must_use]
    pub fn for_records_only(self) -> Self {
        Self {
            for_records_only: true,
            ..self
        }
    }

    /// Whether somebody is woken by it.
    #[must_use]
    pub fn wakes(&self) -> bool {
        !self.for_records_only
    }

    /// Who may hear it.
    pub fn audiences(&self) -> impl Iterator<Item = &Audience> {
        self.told.iter().map(|(audience, _)| audience)
    }

    /// What a listener hears, if it is for them at all.
    fn heard_by(&self, listener: Listener<'_>) -> Option<Words<'_>> {
        if self.for_records_only && !listener.has_records {
            return None;
        }
        let audiences = listener.audiences;
        let mine = self.told.iter().find(|(a, _)| audiences.contains(a))?;
        Some(mine.1.as_deref().map_or(Words::LookAgain, Words::Say))
    }

    fn size(&self) -> usize {
        let sizes = self
            .told
            .iter()
            .filter_map(|(_, e)| Some(e.as_ref()?.size()));
        sizes.sum::<usize>() + WHISPER_OVERHEAD_BYTES
    }
}

/// What a whisper is to a listener.
enum Words<'a> {
    LookAgain,
    Say(&'a Encoded),
}

/// Who listens.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    /// Whose ears.
    pub audiences: &'a [Audience],
    /// Whether they look at certain records only.
    pub has_records: bool,
}

/// What a look into the air gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// All there was up to this place has been handed out.
    UpTo(u64),
    /// Something was missed, or the state is to be told again: look at it as a whole.
    LookAgain,
}

/// The whispers of one broker.
#[derive(Debug, Default)]
pub struct Air {
    /// The place of the next whisper; places count from 0.
    next: u64,
    whispers: VecDeque<Whisper>,
    bytes: usize,
}

impl Air {
    /// The place from which on nothing has been said yet.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Adds a whisper; the oldest go where there are too many.
    pub fn push(&mut self, whisper: Whisper) {
        self.next += 1;
        self.bytes += whisper.size();
        self.whispers.push_back(whisper);
        while self.whispers.len() > MOST_WHISPERS || self.bytes > MOST_BYTES {
            let oldest = self.whispers.pop_front();
            self.bytes -= oldest.map_or(0, |whisper| whisper.size());
        }
    }

    /// Hands out the whispers for `listener` from the place `from` on, until `sink` will not
    /// take one and says `false`.
    pub fn hear(
        &self,
        listener: Listener<'_>,
        from: u64,
        mut sink: impl FnMut(&Encoded) -> bool,
    ) -> Heard {
        let oldest = self.next - self.whispers.len() as u64;
        let Some(missed) = from.checked_sub(oldest) else {
            return Heard::LookAgain;
        };
        let skip = usize::try_from(missed).unwrap_or(usize::MAX);
        for (place, whisper) in (from..).zip(self.whispers.iter().skip(skip)) {
            match whisper.heard_by(listener) {
                Some(Words::LookAgain) => return Heard::LookAgain,
                Some(Words::Say(encoded)) if !sink(encoded) => return Heard::UpTo(place),
                _ => {}
            }
        }
        Heard::UpTo(self.next)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::event::NewEvent;

    fn whisper(name: &str, audience: Audience) -> Whisper {
        let told = NewEvent::new(Audience::Broker, name.parse().unwrap());
        let event = Event {
            position: 0,
            created_at: OffsetDateTime::UNIX_EPOCH,
            told,
        };
        Whisper::of(&event, &[audience])
    }

    fn ears(audiences: &[Audience]) -> Listener<'_> {
        let has_records = false;
        Listener {
            audiences,
            has_records,
        }
    }

    fn heard(air: &Air, from: u64) -> (Vec<String>, Heard) {
        let mut names = Vec::new();
        let end = air.hear(ears(&[Audience::Broker]), from, |encoded| {
            names.push(encoded.event_type.to_string());
            true
        });
        (names, end)
    }

    #[test]
    fn a_whisper_is_heard_by_whom_it_is_for_from_their_place_on() {
        let mut air = Air::default();
        air.push(whisper("a", Audience::Broker));
        air.push(whisper("b", Audience::User("u".parse().unwrap())));
        air.push(whisper("c", Audience::Broker));
        assert_eq!(
            heard(&air, 0),
            (vec!["a".into(), "c".into()], Heard::UpTo(3))
        );
        assert_eq!(heard(&air, 1), (vec!["c".into()], Heard::UpTo(3)));
        assert_eq!(heard(&air, 3), (vec![], Heard::UpTo(3)));
        let full = air.hear(ears(&[Audience::Broker]), 0, |e| {
            e.event_type.as_str() == "a"
        });
        assert_eq!(full, Heard::UpTo(2));
    }

    #[test]
    fn who_is_in_several_audiences_hears_the_first_words() {
        let user = Audience::User("u".parse().unwrap());
        let event = |name: &str, audience: &Audience| Event {
            position: 0,
            created_at: OffsetDateTime::UNIX_EPOCH,
            told: NewEvent::new(audience.clone(), name.parse().unwrap()),
        };
        let mut air = Air::default();
        air.push(Whisper::each([
            event("all", &Audience::Broker),
            event("one", &user),
        ]));
        let mut names = Vec::new();
        for audiences in [vec![user.clone(), Audience::Broker], vec![user]] {
            air.hear(ears(&audiences), 0, |e| {
                names.push(e.event_type.to_string());
                true
            });
        }
        assert_eq!(names, ["all", "one"]);
    }

    #[test]
    fn who_missed_a_whisper_or_is_asked_to_looks_again() {
        let mut air = Air::default();
        for _ in 0..=MOST_WHISPERS {
            air.push(whisper("a", Audience::Broker));
        }
        assert_eq!(heard(&air, 0).1, Heard::LookAgain);
        assert_eq!(heard(&air, 1).1, Heard::UpTo(air.next()));
        let place = air.next();
        air.push(Whisper::look_again([Audience::Broker]));
        assert_eq!(heard(&air, place).1, Heard::LookAgain);
        assert_eq!(heard(&air, air.next()).1, Heard::UpTo(air.next()));
    }
}
