//! The open streams and long polls of this instance, by user, with the tokens that opened them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashSet;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::guard::SessionGuard;
use super::lost::LostClients;
use super::table::{OpenSessionLimits, OpenTable, SessionRefusal};
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
    /// A stream of a task's output, with the id that the client got.
    Output(Uuid),
    /// A request that waits for events or for a task.
    LongPoll,
}

/// Something that opens.
#[derive(Debug)]
pub struct NewSession<'a> {
    pub caller: &'a Caller,
    pub kind: SessionKind,
    /// Where the client is, if that is known.
    pub client: Option<IpAddr>,
    /// What it carries, as admins see it.
    pub scope: Cow<'static, str>,
}

/// What distinguishes a session from all others of this instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionId {
    Stream(Uuid),
    Output(Uuid),
    /// A number that comes again after four thousand million others.
    LongPoll(u32),
}

/// Something that is open: 128 bytes.
#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) address: StreamAddress,
    pub(super) id: SessionId,
    pub(super) role: Role,
    pub(super) teams: Arc<[TeamId]>,
    pub(super) credential: Arc<Credential>,
    pub(super) client: Option<IpAddr>,
    pub(super) scope: Cow<'static, str>,
    /// In milliseconds since 1970, like the next one.
    pub(super) opened_at_ms: i64,
    pub(super) expires_at_ms: i64,
    /// Its end is the will of somebody here, and not of its client.
    pub(super) is_dismissed: bool,
}

impl OpenSession {
    pub(super) fn is_stream(&self) -> bool {
        !matches!(self.id, SessionId::LongPoll(_))
    }

    fn is_output(&self) -> bool {
        matches!(self.id, SessionId::Output(_))
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        self.is_dismissed |= matches!(
            reason,
            CloseReason::Revoked | CloseReason::Disconnected | CloseReason::Evicted
        );
        let StreamAddress {
            mailbox,
            subscription,
        } = &self.address;
        mailbox.close(*subscription, reason);
    }
}

fn unix_ms(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// The outcome of a fresh token for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalOutcome {
    Renewed,
    /// The token has other teams or another role: the stream ends, so that its client opens one with
    /// these rights.
    Changed,
}

struct OpenSessionsShared {
    verifier: Verifier,
    clock: Clock,
    limits: OpenSessionLimits,
    table: Mutex<OpenTable>,
    /// The number of the next long poll.
    next_number: AtomicU32,
    lost: LostClients,
}

#[derive(Clone)]
pub(super) struct OpenSessions(Arc<OpenSessionsShared>);

impl OpenSessions {
    pub(super) fn new(verifier: Verifier, clock: Clock, limits: OpenSessionLimits) -> Self {
        Self(Arc::new(OpenSessionsShared {
            verifier,
            clock,
            limits,
            table: Mutex::default(),
            next_number: AtomicU32::new(1),
            lost: LostClients::default(),
        }))
    }

    /// Adds a stream or a long poll. When the user has too many streams, one is closed.
    pub(super) fn add(
        &self,
        new: NewSession<'_>,
        subscription: &Subscription,
    ) -> Result<SessionGuard, SessionRefusal> {
        let NewSession {
            caller,
            kind,
            client,
            scope,
        } = new;
        let address = StreamAddress {
            mailbox: Arc::clone(subscription.dispatcher().mailbox()),
            subscription: subscription.id(),
        };
        let user = Arc::new(SessionUser::of(caller));
        self.0.lost.is_back(&user);
        let now = self.0.clock.now();
        let mut table = self.table();
        table.count(caller, kind, &self.0.limits)?;
        let sessions = table.users.entry(Arc::clone(&user)).or_default();
        if sessions.is_empty() {
            // Most users have one.
            sessions.reserve_exact(1);
        }
        sessions.push(OpenSession {
            address: address.clone(),
            id: self.id(kind),
            role: caller.role,
            teams: Arc::clone(&caller.teams),
            credential: Arc::clone(&caller.credential),
            client,
            scope,
            opened_at_ms: unix_ms(now),
            expires_at_ms: unix_ms(caller.expires_at),
            is_dismissed: false,
        });
        evict(sessions, self.0.limits.streams_per_user);
        drop(table);
        // A revocation that came before this session was added did not find it.
        if let Some(reason) = self.lost_rights(caller) {
            address.mailbox.close(address.subscription, reason);
        }
        Ok(SessionGuard {
            sessions: self.clone(),
            user,
            address,
            role: caller.role,
            is_poll: kind == SessionKind::LongPoll,
            is_broken: false,
        })
    }

    fn id(&self, kind: SessionKind) -> SessionId {
        match kind {
            SessionKind::Stream(id) => SessionId::Stream(id),
            SessionKind::Output(id) => SessionId::Output(id),
            SessionKind::LongPoll => {
                let number = self.0.next_number.fetch_add(1, Ordering::Relaxed);
                SessionId::LongPoll(number)
            }
        }
    }

    pub(super) fn lost(&self) -> &LostClients {
        &self.0.lost
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
                let mut table = self.table();
                close(table.users.get_mut(&user).into_iter().flatten(), reason);
            }
            Revoked::Token(_) | Revoked::Brokerage { .. } => {
                let mut table = self.table();
                let users = table.users.iter_mut();
                let of_broker = users.filter(|(user, _)| user.broker == *broker);
                close(of_broker.flat_map(|(_, sessions)| sessions), reason);
            }
        }
    }

    /// Ends the sessions whose token was verified by a key that is not there any more.
    pub(super) fn keep_keys(&self, keys: &FxHashSet<KeyId>) {
        let mut table = self.table();
        close(table.users.values_mut().flatten(), |session| {
            let key = session.credential.key.as_ref();
            key.is_some_and(|key| !keys.contains(key))
                .then_some(CloseReason::Revoked)
        });
    }

    pub(super) fn keep_newest(&self, user: &SessionUser, most: usize) {
        if let Some(sessions) = self.table().users.get_mut(user) {
            evict(sessions, most);
        }
    }

    pub(super) fn close_all(&self, reason: CloseReason) {
        let mut table = self.table();
        close(table.users.values_mut().flatten(), |_| Some(reason));
    }

    /// Gives a stream of this instance the fresh token of its user. `None`: the user has no such stream
    /// here.
    pub(super) fn renew(&self, stream: Uuid, fresh: &Caller) -> Option<RenewalOutcome> {
        let mut table = self.table();
        let mut sessions = table.users.get_mut(&SessionUser::of(fresh))?.iter_mut();
        let ids = [SessionId::Stream(stream), SessionId::Output(stream)];
        let session = sessions.find(|session| ids.contains(&session.id))?;
        if session.role != fresh.role || !is_same_set(&session.teams, &fresh.teams) {
            session.close(CloseReason::Changed);
            return Some(RenewalOutcome::Changed);
        }
        session.credential = Arc::clone(&fresh.credential);
        session.expires_at_ms = unix_ms(fresh.expires_at);
        let left = Duration::try_from(fresh.expires_at - self.0.clock.now());
        let expires_at = Instant::now() + left.unwrap_or_default();
        let address = &session.address;
        address.mailbox.renew(address.subscription, expires_at);
        // A revocation that came before did not find the fresh token.
        if let Some(reason) = self.lost_rights(fresh) {
            session.close(reason);
        }
        Some(RenewalOutcome::Renewed)
    }

    /// Why what was opened with a token ends at once: the token was revoked, or its user left a team, after it
    /// was verified.
    fn lost_rights(&self, caller: &Caller) -> Option<CloseReason> {
        match self.0.verifier.check_again(caller) {
            Err(_) => Some(CloseReason::Revoked),
            Ok(now) => (now.teams.len() < caller.teams.len()).then_some(CloseReason::Changed),
        }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, OpenTable> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the oldest streams of a user that are too many, those of output before others: a page that follows many
/// tasks must not lose what all of it lives from.
fn evict(sessions: &mut [OpenSession], most: usize) {
    // The closed ones are still in the list until they end.
    let counts = |session: &OpenSession| session.is_stream() && !session.is_dismissed;
    let open = sessions.iter().filter(|session| counts(session)).count();
    let mut beyond = open.saturating_sub(most);
    for is_output in [true, false] {
        let oldest = sessions.iter_mut();
        let oldest = oldest.filter(|one| counts(one) && one.is_output() == is_output);
        for session in oldest.take(beyond) {
            session.close(CloseReason::Evicted);
            beyond -= 1;
        }
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
    sessions: impl Iterator<Item = &'a mut OpenSession>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each stream.
    #[test]
    fn what_is_known_of_a_session_is_small() {
        assert!(size_of::<OpenSession>() <= 128);
    }
}
