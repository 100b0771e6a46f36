//! An open stream keeps its user present.

use std::sync::Arc;
use std::time::Duration;

use super::person::Person;
use super::sign_of_life::{Session, SignOfLife};
use super::{BrokeragePresence, Presence, PresenceError};
use crate::identity::{Caller, Role};
use crate::platform::UserId;

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
        let sign = SignOfLife::of_stream(Arc::clone(&caller.teams), self.now().moment);
        let mut locked = brokerage.lock();
        locked.group.stream_opened(&caller.user);
        self.record(&mut locked, &caller.user, Session::Streams, sign);
        // The client may have just left another instance, which must know this before its grace
        // period ends.
        let person = locked.group.person(&caller.user);
        if person.is_some_and(Person::has_peer_signs) {
            self.outbox().is_urgent = true;
        }
        drop(locked);
        Ok(Some(PresenceGuard {
            presence: self.clone(),
            brokerage,
            user: caller.user.clone(),
            back_within: Duration::ZERO,
        }))
    }

    fn stream_closed(&self, brokerage: &BrokeragePresence, user: &UserId, back_within: Duration) {
        let now = self.now().moment;
        let mut locked = brokerage.lock();
        if !locked.group.stream_closed(user) {
            return;
        }
        let person = locked.group.person(user);
        if let Some(sign) = person.and_then(Person::open_streams).cloned() {
            let sign = SignOfLife {
                ends_at: Some(now.plus(back_within)),
                ..sign.ended(now)
            };
            self.record(&mut locked, user, Session::Streams, sign);
        }
    }
}

/// Keeps the user of an open stream present until it is dropped.
pub struct PresenceGuard {
    presence: Presence,
    brokerage: Arc<BrokeragePresence>,
    user: UserId,
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
        self.presence
            .stream_closed(&self.brokerage, &self.user, self.back_within);
    }
}
