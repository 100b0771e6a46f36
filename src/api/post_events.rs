//! `POST /events`: publishes one event or a batch, all or nothing.

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod entry_point;

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Context;
use super::audience::AudienceBody;
use super::body::{self, JsonBytes, Object};
use super::caller_rules::Publisher;
use super::idempotency::{self, KeyHeader};
use super::problem::{Code, Problem};
use super::query::NoQuery;
use crate::collab::SignalNames;
use crate::identity::Caller;
use crate::log::Operation;
use crate::log::PrivateFields;
use crate::log::Publication;
use crate::log::SignalTypes;
use crate::log::{DEEPEST, depth, on_one_line};
use crate::log::{NewEvent, set_aside};
use crate::platform::{EventType, ModuleName, RecordId, ReservedFor, UserId};

/// The most events of a request.
const MOST_EVENTS: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct EventBody {
    r#type: EventType,
    audience: AudienceBody,
    module: Option<ModuleName>,
    record_id: Option<RecordId>,
    user_id: Option<UserId>,
    version: Option<i64>,
    data: Option<Box<RawValue>>,
    changes: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    events: Vec<Object<EventBody>>,
}

/// Distinguishes a batch from a single event, whatever else is wrong with the body.
#[derive(Deserialize)]
struct BatchMarker {
    events: Option<IgnoredAny>,
}

#[derive(Serialize)]
struct PublishedJson {
    positions: Vec<String>,
}

/// Publishes events, and answers when they are durable.
pub(super) async fn publish(
    Publisher { caller, .. }: Publisher,
    context: Context,
    _: NoQuery,
    key: KeyHeader,
    JsonBytes(body): JsonBytes,
) -> Result<HttpResponse, Problem> {
    let rules = EventRules {
        caller: &caller,
        event_bytes: context.services.limits.requests.event_bytes,
        signals: &context.services.collab.signal_names,
    };
    let mut events = events(&body, &rules)?;
    let modules = &context.services.directory.modules;
    for event in &mut events {
        if let Some(names) = modules.of(event.module(), &event.event_type) {
            set_aside(event, names);
        }
    }
    let key = key.key(&caller, Operation::PublishEvents, &body);
    // The events have what is needed of it, and many requests may wait.
    drop(body);
    let began = tokio::time::Instant::now();
    let publication = Publication {
        broker: caller.broker,
        events: events.into(),
        key,
    };
    let published = context.services.writer.publish(publication);
    let published = context.dispatcher.mailbox().wait_for(published).await?;
    let metrics = &context.services.telemetry.metrics;
    metrics
        .publish_seconds
        .observe(began.elapsed().as_secs_f64());
    let positions = published.first..published.first + published.count;
    let positions = positions
        .map(|position| published.epoch.at(position).to_string())
        .collect();
    let mut response = HttpResponse::Created();
    idempotency::mark(&mut response, published.is_repeat);
    if !published.is_repeat {
        metrics
            .published
            .inc_by(u64::try_from(published.count).unwrap_or(0));
    }
    Ok(response.json(PublishedJson { positions }))
}

/// The rules that events are checked against.
struct EventRules<'a> {
    caller: &'a Caller,
    event_bytes: usize,
    signals: &'a SignalNames,
}

fn events(body: &[u8], rules: &EventRules<'_>) -> Result<Vec<NewEvent>, Problem> {
    let (events, is_batch) = match body::parse::<EventBody>(body) {
        // The usual body is parsed once.
        Ok(event) => (vec![Object(event)], false),
        Err(_) if body::parse::<BatchMarker>(body)?.events.is_some() => {
            (body::parse::<BatchBody>(body)?.events, true)
        }
        Err(problem) => return Err(problem),
    };
    if !(1..=MOST_EVENTS).contains(&events.len()) {
        let detail = format!(
            "A batch has 1 to {MOST_EVENTS} events, not {}.",
            events.len()
        );
        return Err(Problem::bad_request(Code::InvalidBatch, detail).at("events"));
    }
    let at = |i, field: &str| {
        if is_batch {
            format!("events[{i}].{field}")
        } else {
            field.to_owned()
        }
    };
    let checked = |(i, Object(event))| checked(event, rules, |field| at(i, field));
    events.into_iter().enumerate().map(checked).collect()
}

fn checked(
    event: EventBody,
    rules: &EventRules<'_>,
    at: impl Fn(&str) -> String,
) -> Result<NewEvent, Problem> {
    refuse_reserved(&event.r#type, rules.signals).map_err(|problem| problem.at(at("type")))?;
    if event.record_id.is_some() && event.module.is_none() {
        let detail = "A recordId needs the module it belongs to.";
        return Err(Problem::bad_request(Code::ModuleMissing, detail).at(at("module")));
    }
    if event.version.is_some_and(|version| version < 0) {
        let detail = "A version is 0 or more.";
        return Err(Problem::bad_request(Code::InvalidBody, detail).at(at("version")));
    }
    let one_line = |raw: Option<Box<RawValue>>| raw.map(|raw| Arc::from(on_one_line(raw)));
    let (data, changes) = (one_line(event.data), one_line(event.changes));
    let len = |raw: &Option<Arc<RawValue>>| raw.as_ref().map_or(0, |raw| raw.get().len());
    let limit = rules.event_bytes;
    if len(&data) + len(&changes) > limit {
        let detail = format!("The data and changes of an event have at most {limit} bytes.");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(Problem::new(status, Code::EventTooLarge, detail).at(at("data")));
    }
    for (name, raw) in [("data", &data), ("changes", &changes)] {
        if raw.as_deref().is_some_and(|raw| depth(raw) > DEEPEST) {
            let detail = format!("{name} is nested more than {DEEPEST} deep.");
            return Err(Problem::bad_request(Code::InvalidBody, detail).at(at(name)));
        }
    }
    Ok(NewEvent {
        record: event.module.map(|module| (module, event.record_id)),
        user: event.user_id.or_else(|| Some(rules.caller.user.clone())),
        version: event.version,
        data,
        changes,
        ..NewEvent::new(event.audience.into(), event.r#type)
    })
}

/// Refuses the types of the service's own events: clients rely on the fact that no one else uses them.
fn refuse_reserved(event_type: &EventType, signals: &SignalNames) -> Result<(), Problem> {
    let of_signal = signals.contains(event_type).then_some(ReservedFor::Signals);
    let Some(owner) = event_type.reserved_for().or(of_signal) else {
        return Ok(());
    };
    let instead = match owner {
        ReservedFor::Streams => "Use a type of your own.",
        ReservedFor::Locks => "POST /locks takes a lock.",
        ReservedFor::Tasks => "POST /tasks creates a task.",
        ReservedFor::Notifications => "POST /notifications sends a notification.",
        ReservedFor::Presence => "POST /presence/heartbeat says what a user has open.",
        ReservedFor::Signals => "POST /signals says what a user is doing.",
    };
    let detail = format!(
        "The type {event_type} is reserved: only the service itself publishes events of its \
         {owner}. {instead}"
    );
    Err(Problem::bad_request(Code::ReservedType, detail))
}
