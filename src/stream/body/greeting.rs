//! The first words of a stream: `retry`, `stream:ready`, who is here, and a reset where one is
//! due. What is locked and replay come after them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Parts;
use crate::fanout::gzip;
use crate::log::Audience;
use crate::stream::resume::reset_data;
use crate::stream::wire;

/// What `parts` are greeted with.
pub(super) fn of(parts: &Parts) -> Bytes {
    let named = parts.encoding.named;
    let retry = parts
        .services
        .dice
        .between(wire::RETRY_USUAL / 3, wire::RETRY_USUAL);
    let at = parts.start.epoch.at(parts.start.position);
    let mut text = wire::hello(retry);
    text += &wire::control(named, &ready(parts), Some(&at));
    if let Some(people) = &parts.people {
        text += &wire::control(named, people, None);
    }
    if let Some(reason) = parts.start.reset {
        parts
            .services
            .metrics
            .resets
            .get_or_create(&[("reason", reason.as_str())])
            .inc();
        text += &wire::control(named, &reset_data(reason, &at, &parts.scope), Some(&at));
    }
    let header = if parts.encoding.gzip {
        gzip::HEADER
    } else {
        &[]
    };
    [header, &wire::encoded(parts.encoding, &text)]
        .concat()
        .into()
}

fn ready(parts: &Parts) -> Value {
    json!({
        "type": "stream:ready",
        "stream": parts.account.stream.simple().to_string(),
        "position": parts.start.epoch.at(parts.start.position).to_string(),
        "scopes": scopes(parts),
        "heartbeatSeconds": parts.services.settings.heartbeat_seconds,
    })
}

fn scopes(parts: &Parts) -> Value {
    let mut scopes = json!({"user": null, "teams": [], "broker": null});
    for audience in parts.reader.audiences().iter() {
        match audience {
            Audience::User(user) => scopes["user"] = json!(user.as_str()),
            Audience::Broker => scopes["broker"] = json!(parts.caller.broker.as_str()),
            Audience::Workers => scopes["workers"] = json!(true),
            Audience::Team(team) => {
                if let Value::Array(teams) = &mut scopes["teams"] {
                    teams.push(json!(team.as_str()));
                }
            }
        }
    }
    scopes
}
