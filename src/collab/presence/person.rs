//! One person: the state that all their signs make together. It depends on signs and time alone, so
//! all instances compute the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::moment::Moment;
use super::sign_of_life::{RecordInUse, Session, SignOfLife, SignOrigin, SignSource, Status};
use crate::log::Audience;
use crate::platform::{RecordPath, TeamId};

#[derive(Clone, Copy, Debug)]
pub struct PresenceRules {
    /// How long a person stays present after their last sign has ended.
    pub grace: Duration,
    /// How long a heartbeat lasts.
    pub timeout: Duration,
    /// How long a person without activity counts as online.
    pub away: Duration,
}

/// What is known of the other instances. It decides when their signs end.
#[derive(Clone, Debug)]
pub struct PeerLiveness {
    /// Instances that have died, and when.
    pub gone: FxHashMap<Arc<str>, Moment>,
    /// Before this, no sign of another instance counts as ended: this instance may have missed a
    /// newer one.
    pub trusted_from: Moment,
}

impl Default for PeerLiveness {
    fn default() -> Self {
        let (gone, trusted_from) = (FxHashMap::default(), Moment::BEFORE_ALL);
        Self { gone, trusted_from }
    }
}

/// Decides when signs end.
#[derive(Clone, Copy, Debug)]
pub struct SignLifetimes<'a> {
    pub rules: &'a PresenceRules,
    pub peers: &'a PeerLiveness,
}

impl SignLifetimes<'_> {
    fn end(self, known: &KnownSign) -> Moment {
        let sign = &known.sign;
        match &known.source.origin {
            SignOrigin::Here => sign.ends_at.unwrap_or(Moment::NEVER),
            // A session that ended itself is not in doubt.
            SignOrigin::Peer(_) if sign.is_end() => sign.noticed_at,
            SignOrigin::Peer(instance) => {
                let gone = || self.peers.gone.get(instance).copied();
                let end = sign.ends_at.or_else(gone).unwrap_or(Moment::NEVER);
                end.max(self.peers.trusted_from)
            }
        }
    }

    /// When a sign can be removed. The newest sign of a session hides older ones as long as these
    /// last.
    fn removed_at(self, known: &KnownSign) -> Moment {
        let noticed_at = known.sign.noticed_at;
        let hides_until = match known.source.session {
            Session::Streams | Session::Unseen => noticed_at,
            Session::Named(_) => noticed_at.plus(self.rules.timeout),
        };
        self.end(known).max(hides_until).plus(self.rules.grace)
    }
}

/// What others see of a person who is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceState {
    pub status: Status,
    /// Sorted. Those of the only sign, if there is only one.
    pub teams: Arc<[TeamId]>,
    /// Sorted by record.
    pub viewing: Box<[RecordInUse]>,
    /// Sorted by record.
    pub editing: Box<[RecordInUse]>,
}

#[derive(Clone, Debug)]
struct KnownSign {
    source: SignSource,
    sign: SignOfLife,
}

impl KnownSign {
    /// Decides which sign of a session is the newest, in the same way at all instances.
    fn rank(&self) -> (Moment, &SignOrigin) {
        (self.sign.noticed_at, &self.source.origin)
    }
}

#[derive(Clone, Debug)]
pub struct Person {
    /// Mostly one or two: a list is smaller than a map.
    signs: Vec<KnownSign>,
    /// `Moment::BEFORE_ALL`: it is not known. An option would be twice as large.
    active_at: Moment,
}

impl Default for Person {
    fn default() -> Self {
        let (signs, active_at) = (Vec::new(), Moment::BEFORE_ALL);
        Self { signs, active_at }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// `None`: the person is not present.
    pub state: Option<PresenceState>,
    /// When the state can change without a new sign.
    pub next_at: Moment,
}

impl Person {
    /// Adds or replaces a sign, and returns whether that can change the state now.
    pub fn put(&mut self, source: SignSource, sign: SignOfLife) -> bool {
        if source.session != Session::Unseen {
            self.active_at = self.active_at.max(sign.active_at);
        }
        let is_same_session_elsewhere = |known: &KnownSign| {
            known.source.session == source.session && known.source.origin != source.origin
        };
        // The session may have sent something else to another instance in between.
        let is_elsewhere = self.signs.iter().any(is_same_session_elsewhere);
        let known = self.signs.iter_mut().find(|known| known.source == source);
        if let Some(known) = known {
            let is_extension = sign.extends(&known.sign);
            known.sign = sign;
            !is_extension || is_elsewhere
        } else {
            self.signs.reserve_exact(1);
            self.signs.push(KnownSign { source, sign });
            true
        }
    }

    /// Applies a new audience of a record, and returns the sources of the signs that have changed.
    pub fn update_audience(&mut self, record: &RecordPath, audience: &Audience) -> Vec<SignSource> {
        let changed = self.signs.iter_mut().filter_map(|known| {
            let has_changed = known.sign.update_audience(record, audience);
            has_changed.then(|| known.source.clone())
        });
        changed.collect()
    }

    /// The user has left a team. Returns the sources of the signs that have changed.
    pub fn leave_team(&mut self, team: &TeamId) -> Vec<SignSource> {
        let changed = self.signs.iter_mut().filter_map(|known| {
            let has_changed = known.sign.leave_team(team);
            has_changed.then(|| known.source.clone())
        });
        changed.collect()
    }

    /// The sign of a session that this instance noticed.
    #[must_use]
    pub fn own(&self, session: &Session) -> Option<&SignOfLife> {
        let own = self.signs.iter().find(|known| {
            known.source.session == *session && known.source.origin == SignOrigin::Here
        });
        own.map(|known| &known.sign)
    }

    /// The newest sign of a session, from whichever instance.
    #[must_use]
    pub fn newest(&self, session: &Session) -> Option<&SignOfLife> {
        let signs = self.signs.iter();
        let of_session = signs.filter(|known| known.source.session == *session);
        of_session
            .map(|known| &known.sign)
            .max_by_key(|sign| sign.noticed_at)
    }

    /// The sign of the streams that are open at this instance.
    #[must_use]
    pub fn open_streams(&self) -> Option<&SignOfLife> {
        self.open_streams_of(&Session::Streams)
    }

    /// The sign of the streams of this session that are open at this instance.
    #[must_use]
    pub fn open_streams_of(&self, session: &Session) -> Option<&SignOfLife> {
        let sign = self.own(session)?;
        sign.ends_at.is_none().then_some(sign)
    }

    /// Whether a stream is open at any instance, or has ended within the grace period.
    #[must_use]
    pub fn has_streams(&self, now: Moment, lifetimes: SignLifetimes<'_>) -> bool {
        let is_open =
            |known: &KnownSign| known.source.session.is_of_streams() && lifetimes.end(known) > now;
        self.signs.iter().any(is_open)
    }

    /// How many streams are open, at all instances.
    #[must_use]
    pub fn streams(&self, now: Moment, lifetimes: SignLifetimes<'_>) -> usize {
        let open = self.open_signs(now, lifetimes);
        open.map(|known| known.sign.streams.len()).sum()
    }

    fn open_signs<'a>(
        &'a self,
        now: Moment,
        lifetimes: SignLifetimes<'a>,
    ) -> impl Iterator<Item = &'a KnownSign> {
        let signs = self.signs.iter();
        signs.filter(move |known| known.sign.ends_at.is_none() && lifetimes.end(known) > now)
    }

    /// How many streams of this instance may stay, when only the newest `most` of all instances may, and those that keep
    /// their user present before others. `None`: all of them.
    #[must_use]
    pub fn own_streams_within(
        &self,
        most: usize,
        now: Moment,
        lifetimes: SignLifetimes<'_>,
    ) -> Option<usize> {
        let beyond = self.streams(now, lifetimes).saturating_sub(most);
        if beyond == 0 {
            return None;
        }
        let mut streams = Vec::new();
        for KnownSign { source, sign } in self.open_signs(now, lifetimes) {
            let is_seen = source.session != Session::Unseen;
            let opened = sign.streams.iter();
            streams.extend(opened.map(|at| (is_seen, *at, &source.origin)));
        }
        streams.sort_unstable();
        let newest = streams.iter().skip(beyond);
        let own = newest.filter(|(.., origin)| **origin == SignOrigin::Here);
        Some(own.count())
    }

    #[must_use]
    pub fn has_own_signs(&self) -> bool {
        let mut origins = self.signs.iter().map(|known| &known.source.origin);
        origins.any(|origin| *origin == SignOrigin::Here)
    }

    #[must_use]
    pub fn has_peer_signs(&self) -> bool {
        let mut origins = self.signs.iter().map(|known| &known.source.origin);
        origins.any(|origin| *origin != SignOrigin::Here)
    }

    /// How many signs are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.signs.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signs.is_empty()
    }

    /// Removes signs that cannot change the state any more.
    pub fn remove_old(&mut self, now: Moment, lifetimes: SignLifetimes<'_>) {
        self.signs.retain(|known| lifetimes.removed_at(known) > now);
    }

    /// The state that the signs make. `before` is the status until now: it stays during the grace
    /// period, when no sign lasts any more.
    #[must_use]
    pub fn evaluate(
        &self,
        now: Moment,
        lifetimes: SignLifetimes<'_>,
        before: Option<Status>,
    ) -> Evaluation {
        let grace = lifetimes.rules.grace;
        let active_at = match self.active_at {
            Moment::BEFORE_ALL => now,
            known => known,
        };
        let idle_at = active_at.plus(lifetimes.rules.away);
        let mut signs = self.effective(lifetimes);
        let changes = signs.iter().flat_map(|s| [s.end, s.end.plus(grace)]);
        let removals = self.signs.iter().map(|known| lifetimes.removed_at(known));
        let changes = changes.chain([idle_at]).chain(removals);
        let next_at = changes.filter(|at| *at > now).min();
        signs.retain(|s| s.end.plus(grace) > now);
        Evaluation {
            state: state(&signs, now, idle_at, before),
            next_at: next_at.unwrap_or(Moment::NEVER),
        }
    }

    /// The signs that count. Of a named session it is only the newest, because the session may have
    /// moved from one instance to another.
    fn effective(&self, lifetimes: SignLifetimes<'_>) -> Vec<EffectiveSign<'_>> {
        let mut newest: FxHashMap<&Session, &KnownSign> = FxHashMap::default();
        let mut effective = Vec::new();
        for known in &self.signs {
            if known.source.session == Session::Unseen {
                continue;
            }
            if known.source.session == Session::Streams {
                effective.push(EffectiveSign::of(known, lifetimes));
                continue;
            }
            let best = newest.entry(&known.source.session).or_insert(known);
            if known.rank() > best.rank() {
                *best = known;
            }
        }
        let named = newest.into_values();
        effective.extend(named.map(|known| EffectiveSign::of(known, lifetimes)));
        effective
    }
}

/// A sign that counts, and when it ends.
struct EffectiveSign<'a> {
    is_stream: bool,
    sign: &'a SignOfLife,
    end: Moment,
}

impl<'a> EffectiveSign<'a> {
    fn of(known: &'a KnownSign, lifetimes: SignLifetimes<'_>) -> Self {
        Self {
            is_stream: known.source.session == Session::Streams,
            sign: &known.sign,
            end: lifetimes.end(known),
        }
    }
}

fn state(
    signs: &[EffectiveSign<'_>],
    now: Moment,
    idle_at: Moment,
    before: Option<Status>,
) -> Option<PresenceState> {
    let newest = signs.iter().max_by_key(|s| s.sign.noticed_at)?;
    let live: Vec<_> = signs.iter().filter(|s| s.end > now).collect();
    let status = if live.is_empty() {
        before.unwrap_or(newest.sign.status)
    } else {
        status(&live, idle_at > now)
    };
    Some(PresenceState {
        status,
        teams: teams(signs),
        viewing: by_record(live.iter().filter_map(|s| s.sign.viewing.as_deref())),
        editing: by_record(live.iter().filter_map(|s| s.sign.editing.as_deref())),
    })
}

/// The teams of all signs.
fn teams(signs: &[EffectiveSign<'_>]) -> Arc<[TeamId]> {
    if let [only] = signs
        && only.sign.teams.is_sorted_by(|one, next| one < next)
    {
        return Arc::clone(&only.sign.teams);
    }
    let teams: BTreeSet<_> = signs.iter().flat_map(|s| &*s.sign.teams).collect();
    teams.into_iter().cloned().collect()
}

/// Heartbeats decide the status. Without heartbeats, only the last activity is known.
fn status(live: &[&EffectiveSign<'_>], is_active: bool) -> Status {
    let has_heartbeats = live.iter().any(|s| !s.is_stream);
    let mut deciding = live.iter().filter(|s| s.is_stream != has_heartbeats);
    if is_active && deciding.any(|s| s.sign.status == Status::Online) {
        Status::Online
    } else {
        Status::Away
    }
}

fn by_record<'a>(all: impl Iterator<Item = &'a RecordInUse>) -> Box<[RecordInUse]> {
    let mut records: Vec<_> = all.cloned().collect();
    records.sort_unstable_by(|a, b| a.record.cmp(&b.record));
    records.dedup_by(|a, b| a.record == b.record);
    records.into()
}
