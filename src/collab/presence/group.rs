//! One broker's people: who is here, what has changed, and who is to hear of it.

use std::collections::BTreeSet;
use std::ops::Bound;

use rustc_hash::{FxHashMap, FxHashSet};
use time::OffsetDateTime;

use super::moment::Moment;
use super::moves::Moves;
use super::person::{Horizon, Person, PresenceRules, Seen, Terms};
use super::sign::{RecordInUse, SignOfLife, Source, Status};
use crate::log::{Audience, Shown as RecordShown};
use crate::platform::{RecordPath, UserId};

/// Somebody who is here, as others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub seen: Seen,
    /// Since when the status is what it is.
    pub since: OffsetDateTime,
}

/// What has changed about one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceChange {
    pub user: UserId,
    /// What was shown; nothing of somebody who was not here.
    pub before: Option<Shown>,
    pub after: Option<Shown>,
    /// Crowds that have become too large by it, or small again.
    pub flipped: Vec<Audience>,
}

/// Now, by both of our clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The one that never jumps.
    pub moment: Moment,
    /// The one that people read.
    pub time: OffsetDateTime,
}

/// Who of a team or of the broker is here.
#[derive(Debug, Default)]
struct Crowd {
    /// In order, as lists of them are.
    people: BTreeSet<UserId>,
    online: usize,
}

/// A large crowd is small again at this share of the limit.
const SMALL_AGAIN_PERCENT: usize = 80;

#[derive(Debug, Default)]
struct Entry {
    person: Person,
    shown: Option<Shown>,
    again_at: Option<Moment>,
}

#[derive(Debug)]
pub struct PresenceGroup {
    rules: PresenceRules,
    people: FxHashMap<UserId, Entry>,
    /// Whom to judge again, and when.
    due: BTreeSet<(Moment, UserId)>,
    crowds: FxHashMap<Audience, Crowd>,
    /// Crowds that are too large to tell of one by one.
    large: FxHashSet<Audience>,
    most_told: usize,
    /// Who has a record open.
    visitors: FxHashMap<RecordPath, FxHashSet<UserId>>,
    /// How many streams are open here.
    streams: FxHashMap<UserId, usize>,
    moves: Moves,
}

impl PresenceGroup {
    /// A room with nobody in it, where crowds of more than `most_told` are large.
    #[must_use]
    pub fn new(rules: PresenceRules, most_told: usize) -> Self {
        Self {
            rules,
            most_told,
            people: FxHashMap::default(),
            due: BTreeSet::new(),
            crowds: FxHashMap::default(),
            large: FxHashSet::default(),
            visitors: FxHashMap::default(),
            streams: FxHashMap::default(),
            moves: Moves::default(),
        }
    }

    pub fn shown(&self) -> impl Iterator<Item = (&UserId, &Shown)> {
        let people = self.people.iter();
        people.filter_map(|(user, entry)| Some((user, entry.shown.as_ref()?)))
    }

    /// One person, if they are here.
    #[must_use]
    pub fn find(&self, user: &UserId) -> Option<&Shown> {
        self.people.get(user)?.shown.as_ref()
    }

    /// Who of a team or of the broker is here, or the user themself: in order, after one of them
    /// if not from the first on. Nobody is looked at who is not asked for.
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
            entry.shown.is_some() && after.is_none_or(|after| *user > after)
        });
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let crowd = self.crowds.get(audience).into_iter();
        let crowd =
            crowd.flat_map(move |crowd| crowd.people.range::<UserId, _>((begin, Bound::Unbounded)));
        own.map(|(user, _)| user).into_iter().chain(crowd)
    }

    /// How many of them are online.
    #[must_use]
    pub fn online(&self, audience: &Audience) -> usize {
        match audience {
            Audience::User(user) => usize::from(self.find(user).is_some_and(Shown::is_online)),
            _ => self.crowds.get(audience).map_or(0, |crowd| crowd.online),
        }
    }

    /// Whether they are too many to tell of one by one.
    #[must_use]
    pub fn is_large(&self, audience: &Audience) -> bool {
        self.large.contains(audience)
    }

    /// Who has a record open.
    pub fn visitors(&self, record: &RecordPath) -> impl Iterator<Item = &UserId> {
        self.visitors.get(record).into_iter().flatten()
    }

    /// The records that somebody has open.
    pub fn visited(&self) -> impl Iterator<Item = &RecordPath> {
        self.visitors.keys()
    }

    /// A record is shown like this from now on. Gives those who have it open and are to be judged
    /// again, with the sources of their signs that have changed by it.
    pub fn show(
        &mut self,
        record: &RecordPath,
        shown: &RecordShown,
        now: Moment,
    ) -> Vec<(UserId, Vec<Source>)> {
        let visitors: Vec<_> = self.visitors(record).cloned().collect();
        if visitors.is_empty() || !self.moves.add(record, shown, now) {
            return Vec::new();
        }
        let changed = visitors.into_iter().filter_map(|user| {
            let person = &mut self.people.get_mut(&user)?.person;
            let sources = person.show(record, &shown.audience);
            (!sources.is_empty()).then_some((user, sources))
        });
        changed.collect()
    }

    /// What is known of records that moved may not be the newest any more.
    pub fn forget_moves(&mut self) {
        self.moves = Moves::default();
    }

    /// The crowds that are too large to tell of one by one.
    #[must_use]
    pub fn large(&self) -> FxHashSet<Audience> {
        self.large.clone()
    }

    /// One more stream is open here.
    pub fn stream_opened(&mut self, user: &UserId) {
        *self.streams.entry(user.clone()).or_default() += 1;
    }

    /// One stream less; says whether it was the user's last one here.
    pub fn stream_closed(&mut self, user: &UserId) -> bool {
        let left = self.streams.get_mut(user).map(|n| {
            *n -= 1;
            *n
        });
        left == Some(0) && self.streams.remove(user).is_some()
    }

    /// Whether this instance has anything to say of anybody.
    #[must_use]
    pub fn has_own(&self) -> bool {
        self.people.values().any(|entry| entry.person.has_own())
    }

    /// The users with streams here, and what their signs say.
    pub fn own_streams(&self) -> impl Iterator<Item = (&UserId, &SignOfLife)> {
        let people = self.people.iter();
        people.filter_map(|(user, entry)| Some((user, entry.person.open_streams()?)))
    }

    /// What is known of a person.
    #[must_use]
    pub fn person(&self, user: &UserId) -> Option<&Person> {
        Some(&self.people.get(user)?.person)
    }

    /// Adds or replaces a sign; says whether the person is to be judged again. One who goes on
    /// as before need not be: their turn comes when the sign before would have ended.
    pub fn put(&mut self, user: &UserId, source: Source, sign: SignOfLife) -> bool {
        let sign = self.moves.corrected(sign);
        let entry = self.people.entry(user.clone()).or_default();
        let is_idle = |shown: &Shown| shown.seen.status == Status::Away;
        let wakes = sign.status == Status::Online && entry.shown.as_ref().is_none_or(is_idle);
        entry.person.put(source, sign) || wakes
    }

    /// Everybody whose turn it is.
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

    #[must_use]
    pub fn everybody(&self) -> Vec<UserId> {
        self.people.keys().cloned().collect()
    }

    /// Judges one person again, and says what has changed.
    pub fn judge(&mut self, user: &UserId, now: Now, horizon: &Horizon) -> Option<PresenceChange> {
        let entry = self.people.get_mut(user)?;
        let terms = Terms {
            rules: &self.rules,
            horizon,
        };
        entry.person.forget(now.moment, terms);
        let before = entry.shown.clone();
        let status = before.as_ref().map(|shown| shown.seen.status);
        let judged = entry.person.judge(now.moment, terms, status);
        let after = judged.seen.map(|seen| Shown {
            since: match &before {
                Some(shown) if shown.seen.status == seen.status => shown.since,
                _ => now.time,
            },
            seen,
        });
        entry.shown.clone_from(&after);
        if let Some(at) = entry.again_at.replace(judged.again_at) {
            self.due.remove(&(at, user.clone()));
        }
        if entry.person.is_empty() && after.is_none() {
            self.people.remove(user);
        } else if judged.again_at < Moment::NEVER {
            self.due.insert((judged.again_at, user.clone()));
        }
        if before == after {
            return None;
        }
        let mut change = PresenceChange {
            user: user.clone(),
            before,
            after,
            flipped: Vec::new(),
        };
        change.flipped = self.recount(&change);
        Some(change)
    }

    fn recount(&mut self, change: &PresenceChange) -> Vec<Audience> {
        let mut flipped = Vec::new();
        for (shown, comes) in [(&change.before, false), (&change.after, true)] {
            let Some(shown) = shown else { continue };
            for audience in shown.crowds() {
                self.count_one(&change.user, (shown, comes), &audience);
                flipped.extend(self.flip(&audience).then_some(audience));
            }
            for place in shown.places() {
                let visitors = self.visitors.entry(place.record.clone()).or_default();
                let _ = if comes {
                    visitors.insert(change.user.clone())
                } else {
                    visitors.remove(&change.user)
                };
                if visitors.is_empty() {
                    self.visitors.remove(&place.record);
                }
            }
        }
        flipped
    }

    fn count_one(&mut self, user: &UserId, (shown, comes): (&Shown, bool), audience: &Audience) {
        let crowd = self.crowds.entry(audience.clone()).or_default();
        if comes {
            crowd.online += usize::from(shown.is_online());
            crowd.people.insert(user.clone());
        } else {
            crowd.online -= usize::from(shown.is_online());
            crowd.people.remove(user);
        }
        if crowd.people.is_empty() {
            self.crowds.remove(audience);
        }
    }

    /// Whether a team or the broker has just become too large a crowd to tell of one by one,
    /// or is small again. It must be well below the limit for that, or it would go on and on.
    fn flip(&mut self, audience: &Audience) -> bool {
        let here = self.crowds.get(audience).map_or(0, |c| c.people.len());
        let is_large = self.large.contains(audience);
        if !is_large && here > self.most_told {
            self.large.insert(audience.clone())
        } else if is_large && here <= self.most_told * SMALL_AGAIN_PERCENT / 100 {
            self.large.remove(audience)
        } else {
            false
        }
    }
}

impl Shown {
    /// Whether they are at it.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.seen.status == Status::Online
    }

    /// The crowds they are in, the largest first.
    pub fn crowds(&self) -> impl Iterator<Item = Audience> {
        let teams = self.seen.teams.iter().cloned().map(Audience::Team);
        [Audience::Broker].into_iter().chain(teams)
    }

    /// What they have open, for whatever reason.
    pub fn places(&self) -> impl Iterator<Item = &RecordInUse> {
        self.seen.viewing.iter().chain(&self.seen.editing)
    }
}
