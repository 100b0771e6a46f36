//! Heartbeats: what a device or tab says of itself.

use std::sync::Arc;

use super::moment::Moment;
use super::person::Person;
use super::sign::{RecordInUse, Session, SignOfLife, Status};
use super::{BrokeragePresence, MOST_SESSIONS, Presence, PresenceError};
use crate::identity::Caller;
use crate::platform::{RecordPath, SessionName};

#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub session: SessionName,
    /// Whether its user is at it.
    pub status: Status,
    pub viewing: Option<RecordPath>,
    pub editing: Option<RecordPath>,
}

/// For how long it is believed who may see a record that a session has open.
pub(super) const PLACE_MS: i64 = 120_000;

impl Presence {
    /// Takes a heartbeat. Who beats is here until the next one is overdue.
    pub async fn heartbeat(
        &self,
        caller: &Caller,
        heartbeat: Heartbeat,
    ) -> Result<(), PresenceError> {
        self.0.parts.metrics.heartbeats.inc();
        let brokerage = self.brokerage(&caller.broker).await?;
        let session = Session::Named(heartbeat.session);
        let before = known(&brokerage, caller, &session)?;
        let viewing = self
            .place(caller, heartbeat.viewing, before.as_ref())
            .await?;
        let editing = self
            .place(caller, heartbeat.editing, before.as_ref())
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
            viewing,
            editing,
            said_at: now,
            active_at,
            ends_at: Some(now.plus(self.0.parts.rules.timeout)),
        };
        self.take(&mut brokerage.enter(), (&caller.user, session), sign);
        Ok(())
    }

    /// A device or tab says goodbye.
    pub async fn leave(&self, caller: &Caller, name: SessionName) -> Result<(), PresenceError> {
        let brokerage = self.brokerage(&caller.broker).await?;
        let session = Session::Named(name.clone());
        let now = self.now().moment;
        let known = known(&brokerage, caller, &session)?;
        match known.filter(|sign| sign.ends_at.is_some_and(|end| end > now)) {
            Some(sign) => {
                let who = (&caller.user, session);
                self.take(&mut brokerage.enter(), who, sign.over(now));
                Ok(())
            }
            None => Err(PresenceError::UnknownSession(name)),
        }
    }

    /// A user who has a stream or a session here has just done something.
    pub fn touch(&self, caller: &Caller) {
        let Some(brokerage) = self.filled(&caller.broker) else {
            return;
        };
        let now = self.now().moment;
        let mut visit = brokerage.enter();
        let person = visit.group.person(&caller.user);
        let sign = person.and_then(Person::open_streams).cloned();
        let is_old =
            |sign: &SignOfLife| now.ms_after(sign.active_at) > ms(self.0.parts.rules.away) / 8;
        if let Some(sign) = sign.filter(is_old) {
            let sign = SignOfLife {
                active_at: now,
                ..sign
            };
            self.take(&mut visit, (&caller.user, Session::Streams), sign);
        }
    }

    /// The record that a session has open. Who may see it is looked up when it is opened, and
    /// again now and then.
    async fn place(
        &self,
        caller: &Caller,
        record: Option<RecordPath>,
        before: Option<&SignOfLife>,
    ) -> Result<Option<RecordInUse>, PresenceError> {
        let Some(record) = record else {
            return Ok(None);
        };
        let now = self.now().moment;
        let open = before.into_iter().flat_map(SignOfLife::places);
        let mut open = open.filter(|place| place.record == record);
        if let Some(place) = open.find(|place| is_fresh(place, now)) {
            return Ok(Some(place.clone()));
        }
        let audience = self.0.parts.records.audience_for(caller, &record).await?;
        Ok(Some(RecordInUse {
            record,
            audience,
            looked_up_at: now,
        }))
    }
}

/// What the session said last, at whichever instance.
fn known(
    brokerage: &BrokeragePresence,
    caller: &Caller,
    session: &Session,
) -> Result<Option<SignOfLife>, PresenceError> {
    let visit = brokerage.enter();
    let Some(person) = visit.group.person(&caller.user) else {
        return Ok(None);
    };
    let known = person.newest(session).cloned();
    if known.is_none() && person.len() >= MOST_SESSIONS {
        return Err(PresenceError::TooManySessions);
    }
    Ok(known)
}

fn is_fresh(place: &RecordInUse, now: Moment) -> bool {
    now.ms_after(place.looked_up_at) < PLACE_MS
}

fn ms(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
