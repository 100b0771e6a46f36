//! A signal as an event: told like one, but it has no place in any log.

use serde::Serialize;
use time::OffsetDateTime;

use super::active_signal::SignalState;
use super::active_signals::{About, SignalUpdate};
use super::peer_signal::millis;
use crate::log::{Audience, Event, NewEvent};
use crate::platform::{SessionName, TeamId};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignalData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a SessionName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<&'a TeamId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_in_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The event that tells it.
#[must_use]
pub fn event(pending: &SignalUpdate, created_at: OffsetDateTime) -> Event {
    let (key, change) = (&*pending.key, &pending.change);
    let (event_type, ends_in_ms, reason) = match change.news {
        SignalState::Goes(ends_in) => (key.name.started(), Some(millis(ends_in)), None),
        SignalState::Over(reason) => (key.name.stopped(), None, Some(reason.as_str())),
    };
    let (record, team) = match &key.about {
        About::Record(record) => (Some(record), None),
        About::Team(team) => (None, Some(team)),
    };
    let data = SignalData {
        session: change.said.session.as_ref(),
        team,
        ends_in_ms,
        reason,
    };
    let data = serde_json::to_value(data).unwrap_or_default();
    // Who hears it is decided by the whisper's audiences.
    let told = NewEvent::new(Audience::Broker, event_type).by(&key.user);
    let told = told.with(&data);
    Event {
        position: 0,
        created_at,
        told: match record {
            Some(record) => told.about(record),
            None => told,
        },
    }
}
