//! An open stream keeps its user present.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::person::Person;
use super::sign_of_life::{OpenedAt, Session, SignOfLife};
use super::{BrokeragePresence, LockedGroup, Presence, PresenceError};
use crate::identity::Caller;
use crate::platform::{BrokerId, Principal, TeamId, UserId};

/// Ends streams.
pub trait StreamEvictor: Send + Sync {
    /// Ends the user's streams at this instance but for the newest. Those that are ending anyway may not count here any
    /// more.
    fn keep_newest(&self, broker: &BrokerId, user: &UserId, most: usize);
}

impl Presence {
    /// A stream has opened. It counts until the guard is dropped, and makes a person present.
    pub async fn stream_opened(&self, caller: &Caller) -> Result<PresenceGuard, PresenceError> {
        let mut guard = self.stream_arrived(caller).await?;
        guard.join(&caller.teams);
        Ok(guard)
    }

    /// A stream has opened, and counts from [`PresenceGuard::join`] on.
    pub async fn stream_arrived(&self, caller: &Caller) -> Result<PresenceGuard, PresenceError> {
        let is_unseen = caller.role.principal() != Principal::Person;
        self.arrived(caller, is_unseen).await
    }

    /// A stream of output has opened. It counts until the guard is dropped.
    pub async fn output_opened(&self, caller: &Caller) -> Result<PresenceGuard, PresenceError> {
        let mut guard = self.arrived(caller, true).await?;
        guard.join(&caller.teams);
        Ok(guard)
    }

    /// Whether a user has a stream at any instance, or had one a moment ago (the grace period).
    pub async fn has_streams(
        &self,
        broker: &BrokerId,
        user: &UserId,
    ) -> Result<bool, PresenceError> {
        let brokerage = self.brokerage(broker).await?;
        let (now, peers) = (self.now().moment, self.peers());
        Ok(brokerage.lock().group.has_streams(user, now, &peers))
    }

    /// How many streams a user has, at all instances.
    pub async fn streams_of(
        &self,
        broker: &BrokerId,
        user: &UserId,
    ) -> Result<usize, PresenceError> {
        let brokerage = self.brokerage(broker).await?;
        let (now, peers) = (self.now().moment, self.peers());
        Ok(brokerage.lock().group.streams_of(user, now, &peers))
    }

    async fn arrived(
        &self,
        caller: &Caller,
        is_unseen: bool,
    ) -> Result<PresenceGuard, PresenceError> {
        Ok(PresenceGuard {
            presence: self.clone(),
            brokerage: self.brokerage(&caller.broker).await?,
            user: caller.user.clone(),
            opened_at: opened_at(self.now().time),
            is_unseen,
            has_joined: false,
            back_within_ms: 0,
        })
    }

    fn stream_joined(&self, guard: &PresenceGuard, teams: &Arc<[TeamId]>) {
        let (moment, user, session) = (self.now().moment, &guard.user, guard.session());
        let mut locked = guard.brokerage.lock();
        let open = locked.group.own_streams_of(user, &session);
        let streams = open.iter().copied().chain([guard.opened_at]).collect();
        let sign = SignOfLife {
            streams,
            ..SignOfLife::of_stream(Arc::clone(teams), moment)
        };
        self.record(&mut locked, user, session, sign);
        // The client may have just left another instance, which must know this before its grace
        // period ends.
        let person = locked.group.person(user);
        if person.is_some_and(Person::has_peer_signs) {
            self.outbox().is_urgent = true;
        }
        self.limit_streams(&locked, user);
    }

    fn stream_closed(&self, guard: &PresenceGuard) {
        let (now, user) = (self.now().moment, &guard.user);
        let mut locked = guard.brokerage.lock();
        let session = guard.session();
        let person = locked.group.person(user);
        let sign = person.and_then(|person| person.open_streams_of(&session));
        let Some(sign) = sign.cloned() else {
            return;
        };
        let streams = without(&sign.streams, guard.opened_at);
        let sign = if streams.is_empty() {
            SignOfLife {
                ends_at: Some(now.plus_ms(guard.back_within_ms.into())),
                streams,
                ..sign.ended(now)
            }
        } else {
            SignOfLife { streams, ..sign }
        };
        self.record(&mut locked, user, session, sign);
    }

    /// Ends the oldest streams of a user here, if the user has too many over all instances.
    pub(super) fn limit_streams(&self, locked: &LockedGroup<'_>, user: &UserId) {
        let (parts, now, peers) = (&self.0.parts, self.now().moment, self.peers());
        let most = parts.most_streams_per_user;
        let within = locked.group.own_streams_within(user, most, now, &peers);
        if let Some(within) = within {
            let broker = &locked.brokerage.broker;
            parts.evictor.keep_newest(broker, user, within);
        }
    }
}

/// The other streams.
fn without(streams: &[OpenedAt], ended: OpenedAt) -> Arc<[OpenedAt]> {
    let ended = streams.iter().position(|at| *at == ended);
    let others = (0..streams.len()).filter(|place| Some(*place) != ended);
    others.map(|place| streams[place]).collect()
}

fn opened_at(time: OffsetDateTime) -> OpenedAt {
    i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// Counts an open stream, and keeps its user present if it is a person's, from `join` on until it is dropped.
pub struct PresenceGuard {
    presence: Presence,
    brokerage: Arc<BrokeragePresence>,
    user: UserId,
    opened_at: OpenedAt,
    is_unseen: bool,
    has_joined: bool,
    back_within_ms: u32,
}

impl PresenceGuard {
    fn session(&self) -> Session {
        if self.is_unseen {
            Session::Unseen
        } else {
            Session::Streams
        }
    }

    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.has_joined
    }

    /// From now on the stream counts, and a person is present in these teams.
    pub fn join(&mut self, teams: &Arc<[TeamId]>) {
        self.has_joined = true;
        self.presence.stream_joined(self, teams);
    }

    /// The server asked the client to come back within this time. The user stays present so long.
    pub fn back_within(&mut self, duration: Duration) {
        self.back_within_ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    }
}

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        if self.has_joined {
            self.presence.stream_closed(self);
        }
    }
}
