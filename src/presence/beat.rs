//! Heartbeats: what a device or tab says of itself.

use std::sync::Arc;

use super::moment::Moment;
use super::person::Person;
use super::sign::{Place, Session, Sign, Status};
use super::{Hall, MOST_SESSIONS, Presence, PresenceError};
use crate::identity::Caller;
use crate::ids::{RecordPath, SessionName};

/// What a heartbeat says.
#[derive(Clone, Debug)]
pub struct Beat {
    /// Which device or tab.
    pub session: SessionName,
    /// Whether its user is at it.
    pub status: Status,
    /// What it shows.
    pub viewing: Option<RecordPath>,
    /// What it changes.
    pub editing: Option<RecordPath>,
}

/// For how long it is believed who may see a record that a session has open.
pub(super) const PLACE_MS: i64 = 120_000;

impl Presence {
    /// Takes a heartbeat. Who beats is here until the next one is overdue.
    pub async fn beat(&self, caller: &Caller, beat: Beat) -> Result<(), PresenceError> {
        self.0.parts.metrics.heartbeats.inc();
        let hall = self.hall(&caller.broker).await?;
        let session = Session::Named(beat.session);
        let before = known(&hall, caller, &session)?;
        let viewing = self.place(caller, beat.viewing, before.as_ref()).await?;
        let editing = self.place(caller, beat.editing, before.as_ref()).await?;
        let now = self.now().moment;
        let active_at = match (beat.status, &before) {
            (Status::Online, _) => now,
            (Status::Away, Some(before)) => before.active_at,
            (Status::Away, None) => now.plus_ms(-ms(self.0.parts.rules.away)),
        };
        let sign = Sign {
            teams: Arc::clone(&caller.teams),
            status: beat.status,
            viewing,
            editing,
            said_at: now,
            active_at,
            ends_at: Some(now.plus(self.0.parts.rules.timeout)),
        };
        self.take(&mut hall.enter(), (&caller.user, session), sign);
        Ok(())
    }

    /// A device or tab says goodbye.
    pub async fn leave(&self, caller: &Caller, name: SessionName) -> Result<(), PresenceError> {
        let hall = self.hall(&caller.broker).await?;
        let session = Session::Named(name.clone());
        let now = self.now().moment;
        let known = known(&hall, caller, &session)?;
        match known.filter(|sign| sign.ends_at.is_some_and(|end| end > now)) {
            Some(sign) => {
                let who = (&caller.user, session);
                self.take(&mut hall.enter(), who, sign.over(now));
                Ok(())
            }
            None => Err(PresenceError::UnknownSession(name)),
        }
    }

    /// A user who has a stream or a session here has just done something.
    pub fn touch(&self, caller: &Caller) {
        let Some(hall) = self.filled(&caller.broker) else {
            return;
        };
        let now = self.now().moment;
        let mut visit = hall.enter();
        let person = visit.room.person(&caller.user);
        let sign = person.and_then(Person::open_streams).cloned();
        let is_old = |sign: &Sign| now.ms_after(sign.active_at) > ms(self.0.parts.rules.away) / 8;
        if let Some(sign) = sign.filter(is_old) {
            let sign = Sign {
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
        before: Option<&Sign>,
    ) -> Result<Option<Place>, PresenceError> {
        let Some(record) = record else {
            return Ok(None);
        };
        let now = self.now().moment;
        let open = before.into_iter().flat_map(Sign::places);
        let mut open = open.filter(|place| place.record == record);
        if let Some(place) = open.find(|place| is_fresh(place, now)) {
            return Ok(Some(place.clone()));
        }
        let audience = self.0.parts.records.audience_for(caller, &record).await?;
        Ok(Some(Place {
            record,
            audience,
            looked_up_at: now,
        }))
    }
}

/// What the session said last, at whichever instance.
fn known(hall: &Hall, caller: &Caller, session: &Session) -> Result<Option<Sign>, PresenceError> {
    let visit = hall.enter();
    let Some(person) = visit.room.person(&caller.user) else {
        return Ok(None);
    };
    let known = person.newest(session).cloned();
    if known.is_none() && person.len() >= MOST_SESSIONS {
        return Err(PresenceError::TooManySessions);
    }
    Ok(known)
}

fn is_fresh(place: &Place, now: Moment) -> bool {
    now.ms_after(place.looked_up_at) < PLACE_MS
}

fn ms(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
