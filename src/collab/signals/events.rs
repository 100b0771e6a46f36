//! The events of signals. They have the form of logged events, but no position.

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

#[must_use]
pub fn event(update: &SignalUpdate, created_at: OffsetDateTime) -> Event {
    let (key, change) = (&*update.key, &update.change);
    let (event_type, ends_in_ms, reason) = match change.state {
        SignalState::Active(ends_in) => (key.name.started(), Some(millis(ends_in)), None),
        SignalState::Ended(end) => (key.name.stopped(), None, Some(end.as_str())),
    };
    let (record, team) = match &key.about {
        About::Record(record) => (Some(record), None),
        About::Team(team) => (None, Some(team)),
    };
    let data = SignalData {
        session: change.details.session.as_ref(),
        team,
        ends_in_ms,
        reason,
    };
    let data = serde_json::to_value(data).unwrap_or_default();
    // The ephemeral event has the real audiences.
    let event = NewEvent::new(Audience::Broker, event_type).by(&key.user);
    let event = event.with(&data);
    Event {
        position: 0,
        created_at,
        body: match record {
            Some(record) => event.about(record),
            None => event,
        },
    }
}
