//! Heartbeats: what a device or tab reports about itself.

use std::sync::Arc;

use super::moment::Moment;
use super::person::Person;
use super::sign_of_life::{RecordInUse, Session, SignOfLife, Status};
use super::{BrokeragePresence, MOST_SESSIONS, Presence, PresenceError};
use crate::identity::Caller;
use crate::platform::{RecordPath, SessionName};

#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub session: SessionName,
    pub status: Status,
    pub viewing: Option<RecordPath>,
    pub editing: Option<RecordPath>,
}

/// How long the audience of a record in use counts before it is looked up again.
pub(super) const AUDIENCE_TTL_MS: i64 = 120_000;

impl Presence {
    /// The user is present until the next heartbeat is overdue.
    pub async fn heartbeat(
        &self,
        caller: &Caller,
        heartbeat: Heartbeat,
    ) -> Result<(), PresenceError> {
        self.0.parts.metrics.heartbeats.inc();
        let brokerage = self.brokerage(&caller.broker).await?;
        let session = Session::Named(heartbeat.session);
        let before = last_sign(&brokerage, caller, &session)?;
        let viewing = self
            .record_in_use(caller, heartbeat.viewing, before.as_ref())
            .await?;
        let editing = self
            .record_in_use(caller, heartbeat.editing, before.as_ref())
            .await?;
        let now = self.now().moment;
        let active_at = match (heartbeat.status, &before) {
            (Status::Online, _) => now,
            (Status::Away, Some(before)) => before.active_at,
            (Status::Away, None) => now.plus_ms(-ms(self.0.parts.rules.away)),
        };
        let sign = SignOfLife {
            teams: Arc::clone(&caller.teams),
            status: heartbeat.status,
            viewing: viewing.map(Box::new),
            editing: editing.map(Box::new),
            streams: Arc::default(),
            noticed_at: now,
            active_at,
            ends_at: Some(now.plus(self.0.parts.rules.timeout)),
        };
        self.record_as_of_now(&brokerage, caller, session, sign)
    }

    /// Records a sign of a caller who may have left teams, or whose token may have been revoked, since the request came.
    /// A revocation counts before [`Presence::left_team`] waits for the lock: either it is found here, or the sign is
    /// found there.
    fn record_as_of_now(
        &self,
        brokerage: &BrokeragePresence,
        caller: &Caller,
        session: Session,
        mut sign: SignOfLife,
    ) -> Result<(), PresenceError> {
        let mut locked = brokerage.lock();
        let now = self.0.parts.verifier.revocations().check(caller.clone())?;
        for team in caller.teams.iter().filter(|team| !now.is_on(team)) {
            sign.leave_team(team);
        }
        self.record(&mut locked, &caller.user, session, sign);
        Ok(())
    }

    /// Ends a session.
    pub async fn leave(&self, caller: &Caller, name: SessionName) -> Result<(), PresenceError> {
        let brokerage = self.brokerage(&caller.broker).await?;
        let session = Session::Named(name.clone());
        let now = self.now().moment;
        let last = last_sign(&brokerage, caller, &session)?;
        let Some(sign) = last.filter(|sign| sign.ends_at.is_some_and(|end| end > now)) else {
            return Err(PresenceError::UnknownSession(name));
        };
        let ended = sign.ended(now);
        self.record(&mut brokerage.lock(), &caller.user, session, ended);
        Ok(())
    }

    /// A user has just been active. It matters only if they have a stream at this instance.
    pub fn touch(&self, caller: &Caller) {
        let Some(brokerage) = self.loaded(&caller.broker) else {
            return;
        };
        let now = self.now().moment;
        let mut locked = brokerage.lock();
        let person = locked.group.person(&caller.user);
        let sign = person.and_then(Person::open_streams).cloned();
        let is_old =
            |sign: &SignOfLife| now.ms_after(sign.active_at) > ms(self.0.parts.rules.away) / 8;
        if let Some(sign) = sign.filter(is_old) {
            let sign = SignOfLife {
                active_at: now,
                ..sign
            };
            self.record(&mut locked, &caller.user, Session::Streams, sign);
        }
    }

    /// A record that a session has open, with its audience. The audience is looked up when the
    /// record is opened, and again after [`AUDIENCE_TTL_MS`].
    async fn record_in_use(
        &self,
        caller: &Caller,
        record: Option<RecordPath>,
        before: Option<&SignOfLife>,
    ) -> Result<Option<RecordInUse>, PresenceError> {
        let Some(record) = record else {
            return Ok(None);
        };
        let now = self.now().moment;
        let known = before.into_iter().flat_map(SignOfLife::records_in_use);
        let mut known = known.filter(|in_use| in_use.record == record);
        if let Some(in_use) = known.find(|in_use| is_fresh(in_use, now)) {
            return Ok(Some(in_use.clone()));
        }
        let audience = self.0.parts.records.audience_for(caller, &record).await?;
        Ok(Some(RecordInUse {
            record,
            audience,
            looked_up_at: now,
        }))
    }
}

/// The newest sign of a session, from whichever instance.
fn last_sign(
    brokerage: &BrokeragePresence,
    caller: &Caller,
    session: &Session,
) -> Result<Option<SignOfLife>, PresenceError> {
    let locked = brokerage.lock();
    let Some(person) = locked.group.person(&caller.user) else {
        return Ok(None);
    };
    let last = person.newest(session).cloned();
    if last.is_none() && person.len() >= MOST_SESSIONS {
        return Err(PresenceError::TooManySessions);
    }
    Ok(last)
}

fn is_fresh(in_use: &RecordInUse, now: Moment) -> bool {
    now.ms_after(in_use.looked_up_at) < AUDIENCE_TTL_MS
}

fn ms(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
