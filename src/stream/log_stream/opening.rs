//! The first text of a stream: `retry`, `stream:ready`, the snapshot of presence, a reset if the cursor
//! cannot be served, and the snapshot of locks if there is a recent one. Otherwise that comes later, before
//! the replay, and so do both snapshots while many clients arrive.

use bytes::Bytes;
use serde::Serialize;

use super::StreamParts;
use crate::collab::{LOCK_SNAPSHOT_TYPE, LockSnapshotAnswer};
use crate::log::Audience;
use crate::stream::resume::reset_data;
use crate::stream::{presence, wire};

const READY: &str = "stream:ready";

/// The data of `stream:ready`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadyData<'a> {
    r#type: &'static str,
    stream: String,
    position: &'a str,
    scopes: Scopes<'a>,
    heartbeat_seconds: u16,
}

/// The audiences of a stream.
#[derive(Default, Serialize)]
struct Scopes<'a> {
    user: Option<&'a str>,
    teams: Vec<&'a str>,
    broker: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    workers: bool,
}

pub(super) fn text(parts: &StreamParts) -> Bytes {
    let named = parts.request.parameters.encoding.named;
    let retry = parts
        .services
        .dice
        .between(wire::RETRY_USUAL / 3, wire::RETRY_USUAL);
    let at = parts.start.epoch.at(parts.start.position);
    let id = at.to_string();
    let mut text = wire::hello(retry);
    wire::add_event(&mut text, named, READY, &ready(parts, &id), Some(&id));
    if let Some(json) = &parts.state.presence {
        wire::add_event(&mut text, named, presence::SNAPSHOT, json, None);
    }
    if let Some(reason) = parts.start.reset {
        parts
            .services
            .metrics
            .resets
            .get_or_create(&[("reason", reason.as_str())])
            .inc();
        parts.entry.reader.figures().resets.add(1);
        text += &wire::control(
            named,
            &reset_data(reason, &at, &parts.request.parameters.scope),
            Some(&at),
        );
    }
    if let Some(LockSnapshotAnswer::Ready(locks)) = &parts.state.locks {
        let json = locks.json(
            parts.entry.reader.audiences(),
            parts.request.parameters.filter.records(),
        );
        wire::add_event(&mut text, named, LOCK_SNAPSHOT_TYPE, &json, None);
    }
    wire::first(parts.request.parameters.encoding, &text)
}

fn ready(parts: &StreamParts, position: &str) -> String {
    let data = ReadyData {
        r#type: READY,
        stream: parts.entry.summary.stream.simple().to_string(),
        position,
        scopes: scopes(parts),
        heartbeat_seconds: parts.request.parameters.heartbeat.seconds(),
    };
    serde_json::to_string(&data).unwrap_or_default()
}

fn scopes(parts: &StreamParts) -> Scopes<'_> {
    let mut scopes = Scopes::default();
    for audience in parts.entry.reader.audiences().iter() {
        match audience {
            Audience::User(user) => scopes.user = Some(user.as_str()),
            Audience::Broker => scopes.broker = Some(parts.request.caller.broker.as_str()),
            Audience::Workers => scopes.workers = true,
            Audience::Team(team) => scopes.teams.push(team.as_str()),
        }
    }
    scopes
}
