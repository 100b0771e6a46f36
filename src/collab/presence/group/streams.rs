//! The open streams of users.

use std::sync::Arc;

use super::PresenceGroup;
use crate::collab::presence::moment::Moment;
use crate::collab::presence::person::{PeerLiveness, SignLifetimes};
use crate::collab::presence::sign_of_life::{OpenedAt, Session, SignOfLife};
use crate::platform::UserId;

impl PresenceGroup {
    /// How many of a user's streams at this instance may stay, when only the newest `most` of all
    /// instances may. `None`: all of them.
    #[must_use]
    pub fn own_streams_within(
        &self,
        user: &UserId,
        most: usize,
        now: Moment,
        peers: &PeerLiveness,
    ) -> Option<usize> {
        let entry = self.people.get(user)?;
        let lifetimes = self.lifetimes(peers);
        entry.person.own_streams_within(most, now, lifetimes)
    }

    /// How many streams a user has, at all instances.
    #[must_use]
    pub fn streams_of(&self, user: &UserId, now: Moment, peers: &PeerLiveness) -> usize {
        let lifetimes = self.lifetimes(peers);
        let entry = self.people.get(user);
        entry.map_or(0, |entry| entry.person.streams(now, lifetimes))
    }

    /// Whether a user has a stream at any instance, or had one a moment ago.
    #[must_use]
    pub fn has_streams(&self, user: &UserId, now: Moment, peers: &PeerLiveness) -> bool {
        let lifetimes = self.lifetimes(peers);
        let entry = self.people.get(user);
        entry.is_some_and(|entry| entry.person.has_streams(now, lifetimes))
    }

    /// The users with open streams of this session at this instance, and the signs of these.
    pub fn own_streams<'a>(
        &'a self,
        session: &'a Session,
    ) -> impl Iterator<Item = (&'a UserId, &'a SignOfLife)> {
        let people = self.people.iter();
        people.filter_map(|(user, entry)| Some((user, entry.person.open_streams_of(session)?)))
    }

    /// When each stream of a user's session at this instance was opened, the oldest first.
    #[must_use]
    pub fn own_streams_of(&self, user: &UserId, session: &Session) -> Arc<[OpenedAt]> {
        let person = self.person(user);
        let sign = person.and_then(|person| person.open_streams_of(session));
        sign.map(|sign| Arc::clone(&sign.streams))
            .unwrap_or_default()
    }

    fn lifetimes<'a>(&'a self, peers: &'a PeerLiveness) -> SignLifetimes<'a> {
        let rules = &self.rules;
        SignLifetimes { rules, peers }
    }
}
