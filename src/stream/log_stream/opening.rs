//! The first text of a stream: `retry`, `stream:ready`, the snapshot of presence, and a reset if the
//! cursor cannot be served. The snapshot of locks and the replay come after it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::StreamParts;
use crate::log::Audience;
use crate::stream::resume::reset_data;
use crate::stream::wire;

pub(super) fn text(parts: &StreamParts) -> Bytes {
    let named = parts.encoding.named;
    let retry = parts
        .services
        .dice
        .between(wire::RETRY_USUAL / 3, wire::RETRY_USUAL);
    let at = parts.start.epoch.at(parts.start.position);
    let mut text = wire::hello(retry);
    text += &wire::control(named, &ready(parts), Some(&at));
    if let Some(presence) = &parts.presence {
        text += presence;
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
    wire::first(parts.encoding, &text)
}

fn ready(parts: &StreamParts) -> Value {
    json!({
        "type": "stream:ready",
        "stream": parts.summary.stream.simple().to_string(),
        "position": parts.start.epoch.at(parts.start.position).to_string(),
        "scopes": scopes(parts),
        "heartbeatSeconds": parts.heartbeat.seconds(),
    })
}

fn scopes(parts: &StreamParts) -> Value {
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
