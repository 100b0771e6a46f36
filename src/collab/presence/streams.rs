//! An open stream keeps its user present.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::group::Now;
use super::person::Person;
use super::sign_of_life::{OpenedAt, Session, SignOfLife};
use super::{BrokeragePresence, LockedGroup, Presence, PresenceError};
use crate::identity::{Caller, Role};
use crate::platform::{BrokerId, UserId};

/// Ends streams.
pub trait StreamEvictor: Send + Sync {
    /// Ends so many of the user's streams at this instance, the oldest first.
    fn evict_oldest(&self, broker: &BrokerId, user: &UserId, count: usize);
}

impl Presence {
    /// A stream has opened: its user is present until the guard is dropped.
    pub async fn stream_opened(
        &self,
        caller: &Caller,
    ) -> Result<Option<PresenceGuard>, PresenceError> {
        if !matches!(caller.role, Role::Agent | Role::Admin) {
            return Ok(None);
        }
        let brokerage = self.brokerage(&caller.broker).await?;
        let Now { moment, time } = self.now();
        let opened_at = opened_at(time);
        let mut locked = brokerage.lock();
        let streams = locked.group.stream_opened(&caller.user, opened_at);
        let sign = SignOfLife {
            streams,
            ..SignOfLife::of_stream(Arc::clone(&caller.teams), moment)
        };
        self.record(&mut locked, &caller.user, Session::Streams, sign);
        // The client may have just left another instance, which must know this before its grace
        // period ends.
        let person = locked.group.person(&caller.user);
        if person.is_some_and(Person::has_peer_signs) {
            self.outbox().is_urgent = true;
        }
        self.limit_streams(&locked, &caller.user);
        drop(locked);
        Ok(Some(PresenceGuard {
            presence: self.clone(),
            brokerage,
            user: caller.user.clone(),
            opened_at,
            back_within: Duration::ZERO,
        }))
    }

    fn stream_closed(&self, guard: &PresenceGuard) {
        let (now, user) = (self.now().moment, &guard.user);
        let mut locked = guard.brokerage.lock();
        let streams = locked.group.stream_closed(user, guard.opened_at);
        let person = locked.group.person(user);
        let Some(sign) = person.and_then(Person::open_streams).cloned() else {
            return;
        };
        let sign = if streams.is_empty() {
            SignOfLife {
                ends_at: Some(now.plus(guard.back_within)),
                streams,
                ..sign.ended(now)
            }
        } else {
            SignOfLife { streams, ..sign }
        };
        self.record(&mut locked, user, Session::Streams, sign);
    }

    /// Ends the oldest streams of a user here, if the user has too many over all instances.
    pub(super) fn limit_streams(&self, locked: &LockedGroup<'_>, user: &UserId) {
        let (parts, now, peers) = (&self.0.parts, self.now().moment, self.peers());
        let most = parts.most_streams_per_user;
        let beyond = locked.group.streams_beyond(user, most, now, &peers);
        if beyond > 0 {
            let broker = &locked.brokerage.broker;
            parts.evictor.evict_oldest(broker, user, beyond);
        }
    }
}

fn opened_at(time: OffsetDateTime) -> OpenedAt {
    i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// Keeps the user of an open stream present until it is dropped.
pub struct PresenceGuard {
    presence: Presence,
    brokerage: Arc<BrokeragePresence>,
    user: UserId,
    opened_at: OpenedAt,
    back_within: Duration,
}

impl PresenceGuard {
    /// The server asked the client to come back within this time. The user stays present so long.
    pub fn back_within(&mut self, duration: Duration) {
        self.back_within = duration;
    }
}

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        self.presence.stream_closed(self);
    }
}
