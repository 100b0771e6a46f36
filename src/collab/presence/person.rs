//! One person: what all signs together say. Pure: the same signs at the same moment say the
//! same at every instance.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::moment::Moment;
use super::sign::{Origin, RecordInUse, Session, SignOfLife, Source, Status};
use crate::log::Audience;
use crate::platform::{RecordPath, TeamId};

#[derive(Clone, Copy, Debug)]
pub struct PresenceRules {
    /// Somebody who has gone still counts as here.
    pub grace: Duration,
    pub timeout: Duration,
    /// Somebody who does nothing counts as online.
    pub away: Duration,
}

/// What is known of when other instances' signs end.
#[derive(Clone, Debug)]
pub struct Horizon {
    /// Instances that are gone, and since when.
    pub gone: FxHashMap<Arc<str>, Moment>,
    /// No sign of another instance is taken to end before this: we may not have heard.
    pub trusted_from: Moment,
}

impl Default for Horizon {
    fn default() -> Self {
        let (gone, trusted_from) = (FxHashMap::default(), Moment::at_ms(i64::MIN));
        Self { gone, trusted_from }
    }
}

/// By what signs are judged.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    pub rules: &'a PresenceRules,
    /// What is known of other instances.
    pub horizon: &'a Horizon,
}

impl Terms<'_> {
    fn end(self, origin: &Origin, sign: &SignOfLife) -> Moment {
        match origin {
            Origin::Here => sign.ends_at.unwrap_or(Moment::NEVER),
            // A goodbye that has been said is not doubted.
            Origin::There(_) if sign.is_goodbye() => sign.said_at,
            Origin::There(instance) => {
                let gone = || self.horizon.gone.get(instance).copied();
                let end = sign.ends_at.or_else(gone).unwrap_or(Moment::NEVER);
                end.max(self.horizon.trusted_from)
            }
        }
    }

    /// When a sign has no say any more. The newest of a session hides older ones for as long
    /// as those count.
    fn forgotten_at(self, session: &Session, origin: &Origin, sign: &SignOfLife) -> Moment {
        let hides_until = match session {
            Session::Streams => sign.said_at,
            Session::Named(_) => sign.said_at.plus(self.rules.timeout),
        };
        self.end(origin, sign)
            .max(hides_until)
            .plus(self.rules.grace)
    }
}

/// What others see of a person who is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub status: Status,
    /// The teams they are here for, in order.
    pub teams: Vec<TeamId>,
    /// What they have open, in order.
    pub viewing: Vec<RecordInUse>,
    /// What they are changing, in order.
    pub editing: Vec<RecordInUse>,
}

#[derive(Clone, Debug, Default)]
pub struct Person {
    /// Mostly one or two: a list is smaller than a map.
    signs: Vec<(Source, SignOfLife)>,
    active_at: Option<Moment>,
}

/// What a person is at a moment, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What others see; nothing of somebody who is not here.
    pub seen: Option<Seen>,
    /// When to judge again at the latest.
    pub again_at: Moment,
}

impl Person {
    /// Adds or replaces a sign; says whether that can make a difference now.
    pub fn put(&mut self, source: Source, sign: SignOfLife) -> bool {
        self.active_at = self.active_at.max(Some(sign.active_at));
        let is_same = |((session, origin), _): &(Source, SignOfLife)| {
            *session == source.0 && *origin != source.1
        };
        // Elsewhere it may have said something else since.
        let is_elsewhere = self.signs.iter().any(is_same);
        let known = self.signs.iter_mut().find(|(known, _)| *known == source);
        if let Some((_, known)) = known {
            let goes_on = sign.goes_on_from(known);
            *known = sign;
            !goes_on || is_elsewhere
        } else {
            self.signs.reserve_exact(1);
            self.signs.push((source, sign));
            true
        }
    }

    /// A record is shown to `audience` from now on: gives the sources of the signs that are other
    /// ones by it.
    pub fn show(&mut self, record: &RecordPath, audience: &Audience) -> Vec<Source> {
        let changed = self.signs.iter_mut();
        let changed = changed.filter_map(|(source, sign)| {
            let has_changed = sign.show(record, audience);
            has_changed.then(|| source.clone())
        });
        changed.collect()
    }

    /// What this instance has noticed of a session.
    #[must_use]
    pub fn own(&self, session: &Session) -> Option<&SignOfLife> {
        let is_own =
            |(source, _): &&(Source, SignOfLife)| source.0 == *session && source.1 == Origin::Here;
        self.signs.iter().find(is_own).map(|(_, sign)| sign)
    }

    /// The newest sign of a session, whoever noticed it.
    #[must_use]
    pub fn newest(&self, session: &Session) -> Option<&SignOfLife> {
        let of_session = self.signs.iter().filter(|((s, _), _)| s == session);
        of_session
            .map(|(_, sign)| sign)
            .max_by_key(|sign| sign.said_at)
    }

    /// The sign of the streams that are open here, if any are.
    #[must_use]
    pub fn open_streams(&self) -> Option<&SignOfLife> {
        let mine = |(source, sign): &&(Source, SignOfLife)| {
            *source == (Session::Streams, Origin::Here) && sign.ends_at.is_none()
        };
        self.signs.iter().find(mine).map(|(_, sign)| sign)
    }

    /// Whether any sign was noticed here.
    #[must_use]
    pub fn has_own(&self) -> bool {
        self.signs
            .iter()
            .any(|((_, origin), _)| *origin == Origin::Here)
    }

    /// Whether any sign was noticed elsewhere.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.signs
            .iter()
            .any(|((_, origin), _)| *origin != Origin::Here)
    }

    /// How many signs are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.signs.len()
    }

    /// Whether nothing is known any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signs.is_empty()
    }

    /// Forgets the signs that have no say any more.
    pub fn forget(&mut self, now: Moment, terms: Terms<'_>) {
        self.signs
            .retain(|((session, origin), sign)| terms.forgotten_at(session, origin, sign) > now);
    }

    /// What the signs say. `before` is what they said last: it stays while all that is left of
    /// a person is the grace.
    #[must_use]
    pub fn judge(&self, now: Moment, terms: Terms<'_>, before: Option<Status>) -> Judged {
        let grace = terms.rules.grace;
        let idle_at = self.active_at.unwrap_or(now).plus(terms.rules.away);
        let mut here = self.deciding(terms);
        let turns = here.iter().flat_map(|s| [s.end, s.end.plus(grace)]);
        let turns = turns.chain([idle_at]).chain(self.forgetting(terms));
        let again_at = turns.filter(|turn| *turn > now).min();
        here.retain(|s| s.end.plus(grace) > now);
        Judged {
            seen: seen(&here, now, idle_at, before),
            again_at: again_at.unwrap_or(Moment::NEVER),
        }
    }

    fn forgetting(&self, terms: Terms<'_>) -> impl Iterator<Item = Moment> {
        let signs = self.signs.iter();
        signs.map(move |((session, origin), sign)| terms.forgotten_at(session, origin, sign))
    }

    /// The signs that have a say: of each named session only the newest, because it may have
    /// moved from one instance to another.
    fn deciding(&self, terms: Terms<'_>) -> Vec<Deciding<'_>> {
        let mut newest: FxHashMap<&Session, (&Origin, &SignOfLife)> = FxHashMap::default();
        let mut deciding = Vec::new();
        for ((session, origin), sign) in &self.signs {
            if *session == Session::Streams {
                deciding.push(Deciding::of(session, (origin, sign), terms));
                continue;
            }
            let known = newest.entry(session).or_insert((origin, sign));
            if (sign.said_at, origin) > (known.1.said_at, known.0) {
                *known = (origin, sign);
            }
        }
        let named = newest.into_iter();
        deciding.extend(named.map(|(session, newest)| Deciding::of(session, newest, terms)));
        deciding
    }
}

/// A sign that has a say, and when it ends.
struct Deciding<'a> {
    is_stream: bool,
    sign: &'a SignOfLife,
    end: Moment,
}

impl<'a> Deciding<'a> {
    fn of(session: &Session, (origin, sign): (&Origin, &'a SignOfLife), terms: Terms<'_>) -> Self {
        let is_stream = *session == Session::Streams;
        let end = terms.end(origin, sign);
        Self {
            is_stream,
            sign,
            end,
        }
    }
}

fn seen(
    here: &[Deciding<'_>],
    now: Moment,
    idle_at: Moment,
    before: Option<Status>,
) -> Option<Seen> {
    let newest = here.iter().max_by_key(|s| s.sign.said_at)?;
    let live: Vec<_> = here.iter().filter(|s| s.end > now).collect();
    let teams = here.iter().flat_map(|s| s.sign.teams.iter().cloned());
    let teams: BTreeSet<_> = teams.collect();
    let status = if live.is_empty() {
        before.unwrap_or(newest.sign.status)
    } else {
        status(&live, idle_at > now)
    };
    Some(Seen {
        status,
        teams: teams.into_iter().collect(),
        viewing: places(live.iter().filter_map(|s| s.sign.viewing.as_ref())),
        editing: places(live.iter().filter_map(|s| s.sign.editing.as_ref())),
    })
}

/// Whoever sends heartbeats says it; of others all that is known is their last activity.
fn status(live: &[&Deciding<'_>], is_active: bool) -> Status {
    let has_beats = live.iter().any(|s| !s.is_stream);
    let mut asked = live.iter().filter(|s| s.is_stream != has_beats);
    if is_active && asked.any(|s| s.sign.status == Status::Online) {
        Status::Online
    } else {
        Status::Away
    }
}

fn places<'a>(all: impl Iterator<Item = &'a RecordInUse>) -> Vec<RecordInUse> {
    let mut places: Vec<_> = all.cloned().collect();
    places.sort_unstable_by(|a, b| a.record.cmp(&b.record));
    places.dedup_by(|a, b| a.record == b.record);
    places
}
