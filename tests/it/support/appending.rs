//! Appending to the log as any transaction may, without the service's knowledge.

use porchlight::log::NewEvent;
use porchlight::log::{Appended, EventBatch, append};
use porchlight::platform::BrokerId;
use porchlight::platform::Dice;
use serde_json::{Value, json, value::to_raw_value};
use sqlx::PgConnection;

use super::Service;

/// An event for a team of any broker, numbered.
pub fn numbered(team: &str, n: i64) -> NewEvent {
    let data = to_raw_value(&json!({"n": n})).expect("JSON");
    let audience = format!("team:{team}").parse().expect("an audience");
    NewEvent {
        data: Some(data.into()),
        ..NewEvent::new(audience, "test:tick".parse().expect("a type"))
    }
}

/// Appends these events to the logs of these brokers.
pub async fn append_events(
    connection: &mut PgConnection,
    events_of: &[(BrokerId, Vec<NewEvent>)],
) -> sqlx::Result<Vec<Appended>> {
    let batches: Vec<_> = events_of
        .iter()
        .map(|(broker, events)| EventBatch { broker, events })
        .collect();
    append(connection, &Dice::system(), &batches).await
}

/// The event that a body of `POST /events` describes, of whatever type.
pub fn described(body: &Value) -> NewEvent {
    let text = |name: &str| body[name].as_str();
    let parsed = |name: &str| text(name).map(|id| id.parse().expect("an id"));
    let raw = |name: &str| {
        let value = body.get(name)?;
        Some(to_raw_value(value).expect("JSON").into())
    };
    let audience = match &body["audience"] {
        Value::Object(one) if one.contains_key("broker") => "broker".to_owned(),
        Value::Object(one) => {
            let (kind, id) = one.iter().next().expect("an audience");
            format!("{kind}:{}", id.as_str().expect("an id"))
        }
        other => panic!("no audience: {other}"),
    };
    let event_type = text("type").expect("a type").parse().expect("a type");
    let module = text("module").map(|module| module.parse().expect("a module"));
    let record = text("recordId").map(|id| id.parse().expect("an id"));
    NewEvent {
        record: module.map(|module| (module, record)),
        user: parsed("userId").or_else(|| "svc".parse().ok()),
        version: body["version"].as_i64(),
        data: raw("data"),
        changes: raw("changes"),
        ..NewEvent::new(audience.parse().expect("an audience"), event_type)
    }
}

/// Appends an event of broker `b` as the service itself does: of a type that nobody may publish.
pub async fn append_own(service: &Service, body: &Value) {
    let mut connection = service.database.connect().await;
    let events_of = [("b".parse().expect("an id"), vec![described(body)])];
    append_events(&mut connection, &events_of)
        .await
        .expect("it is appended");
}
