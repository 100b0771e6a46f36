//! Every kind of change of every module, by every way to make it: one event, the right one, with
//! what changed and nothing else, to the right people, and none of what was undone.

mod life;
mod setup;

use serde_json::{Map, Value, json};

use self::life::{Effect, Life};
use self::setup::Setup;
use super::{MODULES, run};
use crate::support::{Message, Stream};

/// How a change is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum By {
    Endpoint,
    Statement,
    Psql,
    Script,
    /// A transaction that also writes elsewhere, and names its user.
    Transaction,
}

const WAYS: [By; 5] = [
    By::Endpoint,
    By::Statement,
    By::Psql,
    By::Script,
    By::Transaction,
];

impl By {
    fn actor(self) -> Value {
        match self {
            Self::Endpoint => json!("ann"),
            Self::Transaction => json!("carl"),
            _ => Value::Null,
        }
    }
}

/// The events of a change for a viewer that saw `before` and sees `after`.
fn expected_events(life: &Life<'_>, effect: Effect, before: &Value, after: &Value) -> Vec<Value> {
    let event = |verb: &str, version: &Value| {
        json!({"type": format!("{}:{verb}", life.singular), "module": life.module,
            "recordId": life.id, "userId": life.by.actor(), "version": version, "action": verb})
    };
    let mut events = Vec::new();
    match effect {
        Effect::Deleted if !before.is_null() => events.push(event("deleted", &before["version"])),
        Effect::Moved if !before.is_null() => {
            // Viewers that lose the record do not see what else was changed.
            let mut gone = event(
                "deleted",
                &json!(before["version"].as_i64().expect("one") + 1),
            );
            gone["data"] = json!({"reason": "moved"});
            events.push(gone);
        }
        Effect::Changed(verb, fields) if !after.is_null() => {
            let mut updated = event(verb, &after["version"]);
            let always = ["version", "updatedAt"];
            let changes: Map<_, _> = fields
                .iter()
                .chain(&always)
                .map(|field| ((*field).to_owned(), after[*field].clone()))
                .collect();
            updated["changes"] = changes.into();
            events.push(updated);
        }
        _ => {}
    }
    if matches!(effect, Effect::Created | Effect::Moved) && !after.is_null() {
        let mut created = event("created", &after["version"]);
        created["data"] = after.clone();
        events.push(created);
    }
    events
}

/// The event without its times and without fields that are null.
fn plain(mut event: Value) -> Value {
    let fields = event.as_object_mut().expect("an object");
    fields.remove("timestamp");
    fields.retain(|_, value| !value.is_null());
    event
}

async fn published_to(stream: &mut Stream) -> Vec<Value> {
    let events = stream.logged_until("test:marker").await;
    // Owners also get notifications, which are not this test's.
    let is_change = |event: &&Message| !event.name.starts_with("notification:");
    let changes = events.iter().filter(is_change);
    changes.map(|event| plain(event.json())).collect()
}

async fn mark(setup: &mut Setup) {
    for broker in ["b", "c"] {
        let marker =
            format!("select porchlight.emit('test:marker', '{{\"broker\": \"{broker}\"}}')");
        run(&mut setup.sql, &marker).await;
    }
}

#[tokio::test]
async fn every_change_of_every_module_by_every_way_is_published_once_and_correctly() {
    let mut setup = Setup::new().await;
    let mut streams = Vec::new();
    for who in &setup.viewers {
        streams.push(setup.service.stream("/stream", who).await);
    }
    let mut expected: Vec<Vec<Value>> = vec![Vec::new(); setup.viewers.len()];
    for (module, singular, required) in MODULES {
        for by in WAYS {
            let life = Life {
                module,
                singular,
                required,
                id: format!("{by:?}"),
                by,
            };
            let mut before = vec![Value::Null; setup.viewers.len()];
            for change in life.changes() {
                setup.undo(&life, &change).await;
                setup.make(&life, &change).await;
                let after = setup.seen(&life).await;
                for (n, events) in expected.iter_mut().enumerate() {
                    let of_one = expected_events(&life, change.effect, &before[n], &after[n]);
                    events.extend(of_one.into_iter().map(plain));
                }
                before = after;
            }
        }
    }
    mark(&mut setup).await;
    // Viewers of the same brokerage receive something. Those that see more receive more.
    let counts: Vec<_> = expected.iter().map(Vec::len).collect();
    assert_eq!(counts, [10 * 25, 4 * 25, 12 * 25, 10 * 25, 2 * 25, 0]);
    for ((stream, expected), who) in streams.iter_mut().zip(expected).zip(&setup.viewers) {
        let received = published_to(stream).await;
        for (n, (received, expected)) in received.iter().zip(&expected).enumerate() {
            assert_eq!(received, expected, "{} {n}", who.user);
        }
        assert_eq!(received.len(), expected.len(), "{}", who.user);
    }
}
