//! The people of one brokerage who are present, and what changes about them.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use time::OffsetDateTime;

use super::crowds::Crowds;
use super::moment::Moment;
use super::person::{PeerLiveness, Person, PresenceRules, PresenceState, SignLifetimes};
use super::record_moves::RecordMoves;
use super::sign_of_life::{RecordInUse, SignOfLife, SignSource, Status};
use crate::log::{Audience, RecordAudience};
use crate::platform::{RecordPath, TeamId, UserId};

mod streams;

/// A person who is present, as others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentUser {
    pub state: PresenceState,
    /// When the status began.
    pub since: OffsetDateTime,
}

/// What has changed about one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceChange {
    pub user: UserId,
    /// `None`: the person was not present.
    pub before: Option<PresentUser>,
    pub after: Option<PresentUser>,
    /// Crowds that became large or small by it.
    pub resized: Vec<Audience>,
}

/// The same moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On the clock that never jumps.
    pub moment: Moment,
    /// On the clock that events carry.
    pub time: OffsetDateTime,
}

/// 128 bytes. There is one for each user of a stream.
#[derive(Debug)]
struct PersonEntry {
    person: Person,
    present: Option<PresentUser>,
    /// What lists show of the person, made when the first list shows it. Empty of people with records, of
    /// whom each reader sees other ones.
    listed: OnceCell<Box<str>>,
    /// When it is in the list of those who are due, unless it is never.
    due_at: Moment,
}

impl Default for PersonEntry {
    fn default() -> Self {
        Self {
            person: Person::default(),
            present: None,
            listed: OnceCell::new(),
            due_at: Moment::NEVER,
        }
    }
}

/// Signs of a user that a new audience of a record has changed.
#[derive(Debug)]
pub struct ChangedSigns {
    pub user: UserId,
    pub sources: Vec<SignSource>,
}

#[derive(Debug)]
pub struct PresenceGroup {
    rules: PresenceRules,
    /// Boxed, because a map keeps room for almost as many entries again.
    people: FxHashMap<UserId, Box<PersonEntry>>,
    /// When to evaluate whom again.
    due: BTreeSet<(Moment, UserId)>,
    crowds: Crowds,
    /// The people who have a record open.
    record_users: FxHashMap<RecordPath, FxHashSet<UserId>>,
    moves: RecordMoves,
}

impl PresenceGroup {
    /// An empty group, in which crowds of more than `crowd_limit` people are large.
    #[must_use]
    pub fn new(rules: PresenceRules, crowd_limit: usize) -> Self {
        Self {
            rules,
            people: FxHashMap::default(),
            due: BTreeSet::new(),
            crowds: Crowds::new(crowd_limit),
            record_users: FxHashMap::default(),
            moves: RecordMoves::default(),
        }
    }

    /// A user, if they are present.
    #[must_use]
    pub fn find(&self, user: &UserId) -> Option<&PresentUser> {
        self.people.get(user)?.present.as_ref()
    }

    /// What lists show of a user who is present and has no record open. `json` makes it.
    pub fn listed(&self, user: &UserId, json: impl FnOnce(&PresentUser) -> String) -> Option<&str> {
        let entry = self.people.get(user)?;
        let present = entry.present.as_ref()?;
        if present.records_in_use().next().is_some() {
            return None;
        }
        Some(entry.listed.get_or_init(|| json(present).into()))
    }

    /// The people of an audience who are present, in order, from the first one after `after` on. It
    /// visits nobody else.
    pub fn people_of<'a>(
        &'a self,
        audience: &Audience,
        after: Option<&UserId>,
    ) -> impl Iterator<Item = &'a UserId> {
        let own = match audience {
            Audience::User(user) => self.people.get_key_value(user),
            _ => None,
        };
        let own = own.filter(|(user, entry)| {
            entry.present.is_some() && after.is_none_or(|after| *user > after)
        });
        let crowd = self.crowds.people(audience, after);
        own.map(|(user, _)| user).into_iter().chain(crowd)
    }

    /// How many people of an audience are online.
    #[must_use]
    pub fn online(&self, audience: &Audience) -> usize {
        match audience {
            Audience::User(user) => {
                usize::from(self.find(user).is_some_and(PresentUser::is_online))
            }
            _ => self.crowds.online(audience),
        }
    }

    /// Whether streams get counts instead of each person of this audience.
    #[must_use]
    pub fn is_large(&self, audience: &Audience) -> bool {
        self.crowds.is_large(audience)
    }

    /// The people who have a record open.
    pub fn users_of(&self, record: &RecordPath) -> impl Iterator<Item = &UserId> {
        self.record_users.get(record).into_iter().flatten()
    }

    /// The records that somebody has open.
    pub fn records_in_use(&self) -> impl Iterator<Item = &RecordPath> {
        self.record_users.keys()
    }

    /// Applies a new audience of a record. Returns the people to evaluate again.
    pub fn update_audience(
        &mut self,
        record: &RecordPath,
        shown: &RecordAudience,
        now: Moment,
    ) -> Vec<ChangedSigns> {
        let users: Vec<_> = self.users_of(record).cloned().collect();
        if users.is_empty() || !self.moves.add(record, shown, now) {
            return Vec::new();
        }
        let changed = users.into_iter().filter_map(|user| {
            let person = &mut self.people.get_mut(&user)?.person;
            let sources = person.update_audience(record, &shown.audience);
            (!sources.is_empty()).then_some(ChangedSigns { user, sources })
        });
        changed.collect()
    }

    /// A user has left a team. Returns the sources of the signs that have changed.
    pub fn leave_team(&mut self, user: &UserId, team: &TeamId) -> Vec<SignSource> {
        let entry = self.people.get_mut(user);
        entry.map_or_else(Vec::new, |entry| entry.person.leave_team(team))
    }

    /// The known audiences of records may be out of date.
    pub fn forget_moves(&mut self) {
        self.moves = RecordMoves::default();
    }

    #[must_use]
    pub fn large(&self) -> FxHashSet<Audience> {
        self.crowds.large().clone()
    }

    /// Whether this instance noticed a sign of anybody.
    #[must_use]
    pub fn has_own_signs(&self) -> bool {
        let mut people = self.people.values();
        people.any(|entry| entry.person.has_own_signs())
    }

    /// A user of whom signs are known, present or not.
    #[must_use]
    pub fn person(&self, user: &UserId) -> Option<&Person> {
        Some(&self.people.get(user)?.person)
    }

    /// Adds or replaces a sign, and returns whether to evaluate the person again. A sign that only
    /// extends the last one needs no evaluation: there will be one when the last one would have
    /// ended.
    pub fn put(&mut self, user: &UserId, source: SignSource, sign: SignOfLife) -> bool {
        let sign = self.moves.applied_to(sign);
        let entry = self.people.entry(user.clone()).or_default();
        let is_away = |present: &PresentUser| present.state.status == Status::Away;
        let wakes = sign.status == Status::Online && entry.present.as_ref().is_none_or(is_away);
        entry.person.put(source, sign) || wakes
    }

    /// Removes and returns the people whose evaluation is due.
    pub fn take_due(&mut self, now: Moment) -> Vec<UserId> {
        let mut due = Vec::new();
        while let Some((at, user)) = self.due.pop_first() {
            if at > now {
                self.due.insert((at, user));
                break;
            }
            due.push(user);
        }
        due
    }

    /// Everybody of whom signs are known.
    #[must_use]
    pub fn users(&self) -> Vec<UserId> {
        self.people.keys().cloned().collect()
    }

    /// Computes one person's state again, and returns what has changed.
    pub fn evaluate(
        &mut self,
        user: &UserId,
        now: Now,
        peers: &PeerLiveness,
    ) -> Option<PresenceChange> {
        let entry = self.people.get_mut(user)?;
        let lifetimes = SignLifetimes {
            rules: &self.rules,
            peers,
        };
        entry.person.remove_old(now.moment, lifetimes);
        let before = entry.present.clone();
        let status = before.as_ref().map(|present| present.state.status);
        let evaluation = entry.person.evaluate(now.moment, lifetimes, status);
        let after = evaluation.state.map(|state| PresentUser {
            since: match &before {
                Some(before) if before.state.status == state.status => before.since,
                _ => now.time,
            },
            state,
        });
        if before != after {
            entry.present.clone_from(&after);
            entry.listed = OnceCell::new();
        }
        let due_at = std::mem::replace(&mut entry.due_at, evaluation.next_at);
        if due_at < Moment::NEVER {
            self.due.remove(&(due_at, user.clone()));
        }
        if entry.person.is_empty() && after.is_none() {
            self.people.remove(user);
        } else if evaluation.next_at < Moment::NEVER {
            self.due.insert((evaluation.next_at, user.clone()));
        }
        if before == after {
            return None;
        }
        let resized = self.recount(user, before.as_ref(), after.as_ref());
        Some(PresenceChange {
            user: user.clone(),
            before,
            after,
            resized,
        })
    }

    /// Updates the crowds and the users of records. Returns crowds that became large or small.
    fn recount(
        &mut self,
        user: &UserId,
        before: Option<&PresentUser>,
        after: Option<&PresentUser>,
    ) -> Vec<Audience> {
        let mut resized = Vec::new();
        if let Some(before) = before {
            resized.extend(self.crowds.remove(user, before));
            for in_use in before.records_in_use() {
                self.remove_record_user(user, &in_use.record);
            }
        }
        if let Some(after) = after {
            resized.extend(self.crowds.add(user, after));
            for in_use in after.records_in_use() {
                let users = self.record_users.entry(in_use.record.clone());
                users.or_default().insert(user.clone());
            }
        }
        resized
    }

    fn remove_record_user(&mut self, user: &UserId, record: &RecordPath) {
        if let Some(users) = self.record_users.get_mut(record) {
            users.remove(user);
            if users.is_empty() {
                self.record_users.remove(record);
            }
        }
    }
}

impl PresentUser {
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.state.status == Status::Online
    }

    /// The crowds that the person is in, the largest first.
    pub fn crowds(&self) -> impl Iterator<Item = Audience> {
        let teams = self.state.teams.iter().cloned().map(Audience::Team);
        [Audience::Broker].into_iter().chain(teams)
    }

    pub fn records_in_use(&self) -> impl Iterator<Item = &RecordInUse> {
        self.state.viewing.iter().chain(&self.state.editing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_present_user_is_small() {
        assert!(size_of::<PersonEntry>() <= 128);
    }
}
