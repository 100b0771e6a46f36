//! `POST /events`: publishing, one event or many, all or nothing.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::body::Object;
use super::problem::{Code, Problem};
use super::{Context, body, idempotency, query};
use crate::collab::SignalNames;
use crate::identity::Caller;
use crate::log::Operation;
use crate::log::PrivateFields;
use crate::log::Publication;
use crate::log::SignalTypes;
use crate::log::{Audience, NewEvent, set_aside};
use crate::log::{DEEPEST, depth, on_one_line};
use crate::platform::{EventType, ModuleName, RecordId, ReservedFor, TeamId, UserId};

/// Events that one request may publish.
pub const MOST_EVENTS: usize = 1_000;

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

/// An audience as bodies name it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) enum AudienceBody {
    User(UserId),
    Team(TeamId),
    #[serde(deserialize_with = "only_true")]
    Broker(()),
}

impl From<AudienceBody> for Audience {
    fn from(body: AudienceBody) -> Self {
        match body {
            AudienceBody::User(user) => Self::User(user),
            AudienceBody::Team(team) => Self::Team(team),
            AudienceBody::Broker(()) => Self::Broker,
        }
    }
}

fn only_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    if bool::deserialize(deserializer)? {
        Ok(())
    } else {
        Err(serde::de::Error::custom(
            "the audience of the whole broker is {\"broker\":true}",
        ))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    events: Vec<Object<EventBody>>,
}

/// Tells one event from many, whatever else is wrong.
#[derive(Deserialize)]
struct Peek {
    events: Option<IgnoredAny>,
}

#[derive(Serialize)]
struct Answer {
    positions: Vec<String>,
}

/// Publishes; the answer comes when the events are durable.
pub async fn publish(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    if !caller.may_publish() {
        let detail = "Publishing needs a token with the role service.";
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            Code::RoleNeeded,
            detail,
        ));
    }
    let key = idempotency::name(&request)?;
    let limits = context.services.limits;
    query::none(&request)?;
    let body = body::read(&request, payload, limits.body_bytes).await?;
    let rules = Rules {
        caller: &caller,
        event_bytes: limits.event_bytes,
        signals: &context.services.signal_names,
    };
    let mut events = events(&body, &rules)?;
    for event in &mut events {
        if let Some(names) = context
            .services
            .modules
            .of(event.module(), &event.event_type)
        {
            set_aside(event, names);
        }
    }
    let operation = Operation::PublishEvents;
    let key = key.map(|name| idempotency::key(&caller, operation, name, &body));
    let asked_at = tokio::time::Instant::now();
    let publication = Publication {
        broker: caller.broker,
        events: events.into(),
        key,
    };
    let place = context.services.writer.publish(publication).await?;
    let metrics = &context.services.metrics;
    metrics
        .publish_seconds
        .observe(asked_at.elapsed().as_secs_f64());
    let positions = place.first..place.first + place.count;
    let positions = positions
        .map(|position| place.epoch.at(position).to_string())
        .collect();
    let mut response = HttpResponse::Created();
    if place.is_repeat {
        response.insert_header(("Idempotency-Replayed", "true"));
    } else {
        metrics
            .published
            .inc_by(u64::try_from(place.count).unwrap_or(0));
    }
    Ok(response.json(Answer { positions }))
}

/// What events must be like.
struct Rules<'a> {
    caller: &'a Caller,
    event_bytes: usize,
    signals: &'a SignalNames,
}

fn events(body: &[u8], rules: &Rules<'_>) -> Result<Vec<NewEvent>, Problem> {
    let is_batch = body::parse::<Peek>(body)?.events.is_some();
    let events = if is_batch {
        body::parse::<Many>(body)?.events
    } else {
        vec![Object(body::parse::<EventBody>(body)?)]
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
    rules: &Rules<'_>,
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
    let one_line = |raw: Option<Box<RawValue>>| raw.map(|raw| Arc::from(on_one_line(&raw)));
    let (data, changes) = (one_line(event.data), one_line(event.changes));
    let len = |raw: &Option<Arc<RawValue>>| raw.as_ref().map_or(0, |raw| raw.get().len());
    let limit = rules.event_bytes;
    if len(&data) + len(&changes) > limit {
        let detail = format!("An event's data and changes have {limit} bytes at the most.");
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

/// Refuses the types by which the service tells of its own work: clients rely on it that nobody
/// else uses them.
fn refuse_reserved(event_type: &EventType, signals: &SignalNames) -> Result<(), Problem> {
    let of_signal = signals.publish(event_type).then_some(ReservedFor::Signals);
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
