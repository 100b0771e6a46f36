//! The open streams and long polls of this instance, by user, with the tokens that opened them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::Instant;
use uuid::Uuid;

use crate::directory::StreamAddress;
use crate::fanout::{CloseReason, Subscription};
use crate::identity::{Caller, Credential, KeyId, Revocation, Revoked, Role, Verifier};
use crate::platform::{BrokerId, Clock, TeamId, UserId};

/// A user of a brokerage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionUser {
    pub broker: BrokerId,
    pub user: UserId,
}

impl SessionUser {
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        Self {
            broker: caller.broker.clone(),
            user: caller.user.clone(),
        }
    }
}

/// What was opened with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// With the id that the client got.
    Stream(Uuid),
    /// A stream of a task's output.
    Output,
    /// A request that waits for events or for a task.
    LongPoll,
}

#[derive(Debug)]
struct OpenSession {
    address: StreamAddress,
    kind: SessionKind,
    role: Role,
    teams: Arc<[TeamId]>,
    credential: Arc<Credential>,
}

impl OpenSession {
    fn close(&self, reason: CloseReason) {
        let StreamAddress {
            mailbox,
            subscription,
        } = &self.address;
        mailbox.close(*subscription, reason);
    }
}

/// The outcome of a fresh token for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalOutcome {
    Renewed,
    /// The token has other teams or another role: the stream ends, so that its client opens one with
    /// these rights.
    Changed,
}

type SessionsByUser = FxHashMap<SessionUser, Vec<OpenSession>>;

struct OpenSessionsShared {
    verifier: Verifier,
    clock: Clock,
    most_streams_per_user: usize,
    /// Those of each user, the oldest first.
    users: Mutex<SessionsByUser>,
}

#[derive(Clone)]
pub(super) struct OpenSessions(Arc<OpenSessionsShared>);

impl OpenSessions {
    pub(super) fn new(verifier: Verifier, clock: Clock, most_streams_per_user: usize) -> Self {
        Self(Arc::new(OpenSessionsShared {
            verifier,
            clock,
            most_streams_per_user,
            users: Mutex::default(),
        }))
    }

    /// Adds a stream or a long poll. When the user has too many streams, the oldest is closed.
    pub(super) fn add(
        &self,
        caller: &Caller,
        kind: SessionKind,
        subscription: &Subscription,
    ) -> SessionGuard {
        let address = StreamAddress {
            mailbox: Arc::clone(subscription.dispatcher().mailbox()),
            subscription: subscription.id(),
        };
        let user = SessionUser::of(caller);
        let mut users = self.users();
        let sessions = users.entry(user.clone()).or_default();
        sessions.push(OpenSession {
            address: address.clone(),
            kind,
            role: caller.role,
            teams: Arc::clone(&caller.teams),
            credential: Arc::clone(&caller.credential),
        });
        evict(sessions, self.0.most_streams_per_user);
        drop(users);
        // A revocation that came before this session was added did not find it.
        if !self.0.verifier.still_accepts(caller) {
            let mailbox = &address.mailbox;
            mailbox.close(address.subscription, CloseReason::Revoked);
        }
        SessionGuard {
            sessions: self.clone(),
            user,
            address,
        }
    }

    /// Ends the sessions of revoked tokens.
    pub(super) fn revoke(&self, revocation: &Revocation) {
        let broker = &revocation.broker;
        let reason = |session: &OpenSession| reason(&revocation.what, session);
        match &revocation.what {
            Revoked::User { user, .. } | Revoked::Member { user, .. } => {
                let user = SessionUser {
                    broker: broker.clone(),
                    user: user.clone(),
                };
                let users = self.users();
                close(users.get(&user).into_iter().flatten(), reason);
            }
            Revoked::Token(_) | Revoked::Brokerage { .. } => {
                let users = self.users();
                let of_broker = users.iter().filter(|(user, _)| user.broker == *broker);
                close(of_broker.flat_map(|(_, sessions)| sessions), reason);
            }
        }
    }

    /// Ends the sessions whose token was verified by a key that is not there any more.
    pub(super) fn keep_keys(&self, keys: &FxHashSet<KeyId>) {
        let users = self.users();
        close(users.values().flatten(), |session| {
            let key = session.credential.key.as_ref();
            key.is_some_and(|key| !keys.contains(key))
                .then_some(CloseReason::Revoked)
        });
    }

    pub(super) fn evict_oldest(&self, user: &SessionUser, count: usize) {
        let users = self.users();
        let is_counted = |session: &&OpenSession| {
            let is_person = matches!(session.role, Role::Agent | Role::Admin);
            is_person && matches!(session.kind, SessionKind::Stream(_))
        };
        let sessions = users.get(user).into_iter().flatten();
        for session in sessions.filter(is_counted).take(count) {
            session.close(CloseReason::Evicted);
        }
    }

    pub(super) fn close_all(&self, reason: CloseReason) {
        let users = self.users();
        close(users.values().flatten(), |_| Some(reason));
    }

    /// Gives a stream of this instance the fresh token of its user. `None`: the user has no such stream
    /// here.
    pub(super) fn renew(&self, stream: Uuid, fresh: &Caller) -> Option<RenewalOutcome> {
        let mut users = self.users();
        let mut sessions = users.get_mut(&SessionUser::of(fresh))?.iter_mut();
        let session = sessions.find(|session| session.kind == SessionKind::Stream(stream))?;
        if session.role != fresh.role || !is_same_set(&session.teams, &fresh.teams) {
            session.close(CloseReason::Changed);
            return Some(RenewalOutcome::Changed);
        }
        session.credential = Arc::clone(&fresh.credential);
        let left = Duration::try_from(fresh.expires_at - self.0.clock.now());
        let expires_at = Instant::now() + left.unwrap_or_default();
        let address = &session.address;
        address.mailbox.renew(address.subscription, expires_at);
        // A revocation that came before did not find the fresh token.
        if !self.0.verifier.still_accepts(fresh) {
            session.close(CloseReason::Revoked);
        }
        Some(RenewalOutcome::Renewed)
    }

    fn users(&self) -> MutexGuard<'_, SessionsByUser> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the oldest streams of a user that are too many. The closed ones are still in the list until
/// they end, but as closed.
fn evict(sessions: &mut [OpenSession], most: usize) {
    let is_stream = |session: &&OpenSession| session.kind != SessionKind::LongPoll;
    let streams = sessions.iter().filter(is_stream).count();
    let oldest = sessions.iter().filter(is_stream);
    for session in oldest.take(streams.saturating_sub(most)) {
        session.close(CloseReason::Evicted);
    }
}

/// Why a revocation ends a session, if it does.
fn reason(what: &Revoked, session: &OpenSession) -> Option<CloseReason> {
    let credential = &session.credential;
    let is_meant = match what {
        Revoked::Token(id) => credential.token_id.as_ref() == Some(id),
        Revoked::User { issued_before, .. } | Revoked::Brokerage { issued_before } => {
            credential.is_from_before(*issued_before)
        }
        Revoked::Member {
            team,
            issued_before,
            ..
        } => {
            let has_left =
                session.teams.contains(team) && credential.is_from_before(*issued_before);
            return has_left.then_some(CloseReason::Changed);
        }
    };
    is_meant.then_some(CloseReason::Revoked)
}

fn close<'a>(
    sessions: impl Iterator<Item = &'a OpenSession>,
    reason: impl Fn(&OpenSession) -> Option<CloseReason>,
) {
    for session in sessions {
        if let Some(reason) = reason(session) {
            session.close(reason);
        }
    }
}

/// Teams are distinct.
fn is_same_set(one: &[TeamId], other: &[TeamId]) -> bool {
    one.len() == other.len() && one.iter().all(|team| other.contains(team))
}

/// Removes a session when it is dropped.
pub struct SessionGuard {
    sessions: OpenSessions,
    user: SessionUser,
    address: StreamAddress,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut users = self.sessions.users();
        if let Some(sessions) = users.get_mut(&self.user) {
            sessions.retain(|session| !session.address.is(&self.address));
            if sessions.is_empty() {
                users.remove(&self.user);
            }
        }
    }
}
