//! Appending to the log as any transaction may, without the service's knowledge.

use porchlight::clock::Dice;
use porchlight::event::NewEvent;
use porchlight::event_log::{Appended, Batch, append};
use porchlight::ids::BrokerId;
use serde_json::{json, value::to_raw_value};
use sqlx::PgConnection;

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
pub async fn tell(
    connection: &mut PgConnection,
    told: &[(BrokerId, Vec<NewEvent>)],
) -> sqlx::Result<Vec<Appended>> {
    let batches: Vec<_> = told
        .iter()
        .map(|(broker, events)| Batch {
            broker,
            events: events.iter().collect(),
        })
        .collect();
    append(connection, &Dice::system(), &batches).await
}
