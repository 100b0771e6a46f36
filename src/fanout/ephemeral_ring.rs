//! What is in the air of one broker: whispers, which are told once and never kept.
//!
//! A whisper says how a state has changed (who is online, who is typing). Streams hear
//! them from their own place in a short ring, as they read the log; one that falls out
//! of it is told, and asks for the state as a whole instead.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Encoded;
use crate::log::{Audience, Event};

/// Whispers that are in the air of one broker at the most, and their bytes.
const MOST_WHISPERS: usize = 2_048;
const MOST_BYTES: usize = 1 << 20;
/// A whisper's share of memory beside its bytes.
const WHISPER_OVERHEAD_BYTES: usize = 128;

/// A change of state, ready to be written.
#[derive(Debug)]
pub struct EphemeralEvent {
    told: Vec<(Audience, Option<Arc<Encoded>>)>,
    /// Only for streams that look at certain records.
    for_records_only: bool,
}

impl EphemeralEvent {
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

    pub fn audiences(&self) -> impl Iterator<Item = &Audience> {
        self.told.iter().map(|(audience, _)| audience)
    }

    /// What a listener hears, if it is for them at all.
    fn heard_by(&self, listener: EphemeralReader<'_>) -> Option<EphemeralText<'_>> {
        if self.for_records_only && !listener.has_records {
            return None;
        }
        let audiences = listener.audiences;
        let mine = self.told.iter().find(|(a, _)| audiences.contains(a))?;
        Some(
            mine.1
                .as_deref()
                .map_or(EphemeralText::LookAgain, EphemeralText::Say),
        )
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
enum EphemeralText<'a> {
    LookAgain,
    Say(&'a Encoded),
}

#[derive(Clone, Copy, Debug)]
pub struct EphemeralReader<'a> {
    pub audiences: &'a [Audience],
    /// Whether they look at certain records only.
    pub has_records: bool,
}

/// What a look into the air gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EphemeralRead {
    /// All there was up to this place has been handed out.
    UpTo(u64),
    /// Something was missed, or the state is to be told again: look at it as a whole.
    LookAgain,
}

/// The whispers of one broker.
#[derive(Debug, Default)]
pub struct EphemeralRing {
    /// The place of the next whisper; places count from 0.
    next: u64,
    ephemerals: VecDeque<EphemeralEvent>,
    bytes: usize,
}

impl EphemeralRing {
    /// The place from which on nothing has been said yet.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Adds a whisper; the oldest go where there are too many.
    pub fn push(&mut self, ephemeral: EphemeralEvent) {
        self.next += 1;
        self.bytes += ephemeral.size();
        self.ephemerals.push_back(ephemeral);
        while self.ephemerals.len() > MOST_WHISPERS || self.bytes > MOST_BYTES {
            let oldest = self.ephemerals.pop_front();
            self.bytes -= oldest.map_or(0, |ephemeral| ephemeral.size());
        }
    }

    /// Hands out the whispers for `listener` from the place `from` on, until `sink` will not
    /// take one and says `false`.
    pub fn hear(
        &self,
        listener: EphemeralReader<'_>,
        from: u64,
        mut sink: impl FnMut(&Encoded) -> bool,
    ) -> EphemeralRead {
        let oldest = self.next - self.ephemerals.len() as u64;
        let Some(missed) = from.checked_sub(oldest) else {
            return EphemeralRead::LookAgain;
        };
        let skip = usize::try_from(missed).unwrap_or(usize::MAX);
        for (place, ephemeral) in (from..).zip(self.ephemerals.iter().skip(skip)) {
            match ephemeral.heard_by(listener) {
                Some(EphemeralText::LookAgain) => return EphemeralRead::LookAgain,
                Some(EphemeralText::Say(encoded)) if !sink(encoded) => {
                    return EphemeralRead::UpTo(place);
                }
                _ => {}
            }
        }
        EphemeralRead::UpTo(self.next)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::log::NewEvent;

    fn ephemeral(name: &str, audience: Audience) -> EphemeralEvent {
        let told = NewEvent::new(Audience::Broker, name.parse().unwrap());
        let event = Event {
            position: 0,
            created_at: OffsetDateTime::UNIX_EPOCH,
            told,
        };
        EphemeralEvent::of(&event, &[audience])
    }

    fn peer_listener(audiences: &[Audience]) -> EphemeralReader<'_> {
        let has_records = false;
        EphemeralReader {
            audiences,
            has_records,
        }
    }

    fn heard(ephemeral_ring: &EphemeralRing, from: u64) -> (Vec<String>, EphemeralRead) {
        let mut names = Vec::new();
        let end = ephemeral_ring.hear(peer_listener(&[Audience::Broker]), from, |encoded| {
            names.push(encoded.event_type.to_string());
            true
        });
        (names, end)
    }

    #[test]
    fn a_whisper_is_heard_by_whom_it_is_for_from_their_place_on() {
        let mut ephemeral_ring = EphemeralRing::default();
        ephemeral_ring.push(ephemeral("a", Audience::Broker));
        ephemeral_ring.push(ephemeral("b", Audience::User("u".parse().unwrap())));
        ephemeral_ring.push(ephemeral("c", Audience::Broker));
        assert_eq!(
            heard(&ephemeral_ring, 0),
            (vec!["a".into(), "c".into()], EphemeralRead::UpTo(3))
        );
        assert_eq!(
            heard(&ephemeral_ring, 1),
            (vec!["c".into()], EphemeralRead::UpTo(3))
        );
        assert_eq!(heard(&ephemeral_ring, 3), (vec![], EphemeralRead::UpTo(3)));
        let full = ephemeral_ring.hear(peer_listener(&[Audience::Broker]), 0, |e| {
            e.event_type.as_str() == "a"
        });
        assert_eq!(full, EphemeralRead::UpTo(2));
    }

    #[test]
    fn who_is_in_several_audiences_hears_the_first_words() {
        let user = Audience::User("u".parse().unwrap());
        let event = |name: &str, audience: &Audience| Event {
            position: 0,
            created_at: OffsetDateTime::UNIX_EPOCH,
            told: NewEvent::new(audience.clone(), name.parse().unwrap()),
        };
        let mut ephemeral_ring = EphemeralRing::default();
        ephemeral_ring.push(EphemeralEvent::each([
            event("all", &Audience::Broker),
            event("one", &user),
        ]));
        let mut names = Vec::new();
        for audiences in [vec![user.clone(), Audience::Broker], vec![user]] {
            ephemeral_ring.hear(peer_listener(&audiences), 0, |e| {
                names.push(e.event_type.to_string());
                true
            });
        }
        assert_eq!(names, ["all", "one"]);
    }

    #[test]
    fn who_missed_a_whisper_or_is_asked_to_looks_again() {
        let mut ephemeral_ring = EphemeralRing::default();
        for _ in 0..=MOST_WHISPERS {
            ephemeral_ring.push(ephemeral("a", Audience::Broker));
        }
        assert_eq!(heard(&ephemeral_ring, 0).1, EphemeralRead::LookAgain);
        assert_eq!(
            heard(&ephemeral_ring, 1).1,
            EphemeralRead::UpTo(ephemeral_ring.next())
        );
        let place = ephemeral_ring.next();
        ephemeral_ring.push(EphemeralEvent::look_again([Audience::Broker]));
        assert_eq!(heard(&ephemeral_ring, place).1, EphemeralRead::LookAgain);
        assert_eq!(
            heard(&ephemeral_ring, ephemeral_ring.next()).1,
            EphemeralRead::UpTo(ephemeral_ring.next())
        );
    }
}
