//! What is open at this instance, and how much may be.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::guard::SessionGuard;
use super::open::{OpenSession, SessionKind, SessionUser};
use crate::identity::Caller;
use crate::platform::{BrokerId, Principal, QuotaExceeded, QuotaKind, QuotaScope};

/// The keys are shared with the guards of the sessions.
pub(super) type SessionsByUser = FxHashMap<Arc<SessionUser>, Vec<OpenSession>>;

/// How many sessions may be open at this instance.
#[derive(Clone, Copy, Debug)]
pub struct OpenSessionLimits {
    /// One more ends the oldest.
    pub streams_per_user: usize,
    /// 0 is no limit. The same is true of the other limits.
    pub streams_per_brokerage: usize,
    pub polls_per_user: usize,
    pub polls_per_brokerage: usize,
}

/// Why a session is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRefusal {
    /// The brokerage has too many streams.
    TooManyStreams,
    /// The user or the brokerage has too many requests that wait.
    TooManyPolls(QuotaExceeded),
}

/// How many sessions are open at this instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    pub streams: usize,
    pub polls: usize,
}

impl SessionCounts {
    fn of(&mut self, is_poll: bool) -> &mut usize {
        if is_poll {
            &mut self.polls
        } else {
            &mut self.streams
        }
    }
}

/// What is open.
#[derive(Default)]
pub(super) struct OpenTable {
    /// Those of each user, the oldest first.
    pub(super) users: SessionsByUser,
    brokerages: FxHashMap<BrokerId, SessionCounts>,
}

impl OpenTable {
    /// Counts one more session of the brokerage, unless it is one too many.
    pub(super) fn count(
        &mut self,
        caller: &Caller,
        kind: SessionKind,
        limits: &OpenSessionLimits,
    ) -> Result<(), SessionRefusal> {
        let is_full = |open: usize, most: usize| most > 0 && open >= most;
        let counts = self.brokerages.entry(caller.broker.clone()).or_default();
        let refused = |scope, limit: usize| {
            Err(SessionRefusal::TooManyPolls(QuotaExceeded {
                kind: QuotaKind::Polls,
                scope,
                limit: u64::try_from(limit).unwrap_or(u64::MAX),
            }))
        };
        if kind == SessionKind::LongPoll {
            let own = self.users.get(&SessionUser::of(caller));
            let own = own.into_iter().flatten();
            let polls = own.filter(|session| !session.is_stream());
            let is_person = caller.role.principal() == Principal::Person;
            if is_person && is_full(polls.count(), limits.polls_per_user) {
                return refused(QuotaScope::User, limits.polls_per_user);
            }
            if is_full(counts.polls, limits.polls_per_brokerage) {
                return refused(QuotaScope::Brokerage, limits.polls_per_brokerage);
            }
        } else if is_full(counts.streams, limits.streams_per_brokerage) {
            return Err(SessionRefusal::TooManyStreams);
        }
        *counts.of(kind == SessionKind::LongPoll) += 1;
        Ok(())
    }

    pub(super) fn of_user(&self, user: &SessionUser) -> SessionCounts {
        let sessions = self.users.get(user).map_or(&[][..], Vec::as_slice);
        let streams = sessions.iter().filter(|session| session.is_stream());
        let streams = streams.count();
        SessionCounts {
            streams,
            polls: sessions.len() - streams,
        }
    }

    pub(super) fn of_brokerage(&self, broker: &BrokerId) -> SessionCounts {
        self.brokerages.get(broker).copied().unwrap_or_default()
    }

    /// The session, if it was the last one of its user.
    pub(super) fn remove(&mut self, guard: &SessionGuard) -> Option<OpenSession> {
        let user = &guard.user;
        if let Some(counts) = self.brokerages.get_mut(&user.broker) {
            *counts.of(guard.is_poll) -= 1;
            if counts.streams + counts.polls == 0 {
                self.brokerages.remove(&user.broker);
            }
        }
        let sessions = self.users.get_mut(user)?;
        let is_it = |session: &OpenSession| session.address.is(&guard.address);
        let ended = sessions.iter().position(is_it);
        let ended = ended.map(|at| sessions.remove(at))?;
        if !sessions.is_empty() {
            return None;
        }
        self.users.remove(user);
        Some(ended)
    }
}
