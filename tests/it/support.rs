//! What all tests use: the real service on a real socket, a database of its own,
//! and clients that know nothing of the service's code.

pub mod answer;
pub mod appending;
pub mod chance;
pub mod child;
pub mod cluster;
pub mod command;
pub mod ends;
pub mod forge;
pub mod instances;
pub mod ledger;
pub mod length;
pub mod openapi;
pub mod otlp;
#[allow(dead_code, reason = "tests/faults uses the rest")]
pub mod own;
pub mod people;
pub mod pgbouncer;
#[allow(dead_code, reason = "tests/faults uses the rest")]
pub mod process;
#[allow(dead_code, reason = "tests/faults uses the rest")]
pub mod proxy;
pub mod psql;
pub mod publisher;
pub mod raw;
pub mod redis;
pub mod redis_cluster;
pub mod requests;
pub mod returning;
pub mod service;
pub mod slow;
pub mod sql;
pub mod sse;
pub mod tasks;
pub mod tickets;
pub mod wait;
pub mod worker;

pub use answer::{Answer, Way};
pub use chance::Chance;
pub use length::short_or_long;
pub use process::Process;
pub use proxy::Proxy;
pub use publisher::Publisher;
pub use returning::Returning;
pub use service::{Service, Token};
pub use sse::{Message, Stream};
pub use wait::eventually;

use serde_json::{Value, json};

/// An event for a team, numbered.
pub fn for_team(team: &str, n: u64) -> Value {
    json!({"type": "test:tick", "audience": {"team": team}, "data": {"n": n}})
}

/// The number of an event made by [`for_team`].
pub fn number(message: &Message) -> u64 {
    message.json()["data"]["n"]
        .as_u64()
        .expect("a numbered event")
}

/// The numbers of events made by [`for_team`].
pub fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(number).collect()
}

/// The same of a page of `GET /events`.
pub fn numbers_on(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().expect("events").iter();
    events
        .map(|event| event["data"]["n"].as_u64().expect("a numbered event"))
        .collect()
}
