//! Every kind of change of every module, by every way to make it: one event, the right one, with
//! what changed and nothing else, to the right people, and none of what was undone.

mod life;
mod place;

use serde_json::{Map, Value, json};

use self::life::{Life, Told};
use self::place::Place;
use super::{MODULES, run};
use crate::support::Stream;

/// How a change is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum By {
    Endpoint,
    Statement,
    Psql,
    Script,
    /// One that writes elsewhere too, and says who does it.
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

/// What a viewer is told of a change, who saw the one before it and sees the other after it.
fn told(life: &Life<'_>, told: Told, (before, after): (&Value, &Value)) -> Vec<Value> {
    let event = |verb: &str, version: &Value| {
        json!({"type": format!("{}:{verb}", life.singular), "module": life.module,
            "recordId": life.id, "userId": life.by.actor(), "version": version, "action": verb})
    };
    let mut events = Vec::new();
    match told {
        Told::Nothing => {}
        Told::Deleted if !before.is_null() => events.push(event("deleted", &before["version"])),
        Told::Moved if !before.is_null() => {
            // What is written with it is of no concern to who loses it.
            let mut gone = event(
                "deleted",
                &json!(before["version"].as_i64().expect("one") + 1),
            );
            gone["data"] = json!({"reason": "moved"});
            events.push(gone);
        }
        Told::Changed(verb, fields) if !after.is_null() => {
            let mut changed = event(verb, &after["version"]);
            let always = ["version", "updatedAt"];
            let changes: Map<_, _> = fields
                .iter()
                .chain(&always)
                .map(|field| ((*field).to_owned(), after[*field].clone()))
                .collect();
            changed["changes"] = changes.into();
            events.push(changed);
        }
        _ => {}
    }
    if matches!(told, Told::Created | Told::Moved) && !after.is_null() {
        let mut created = event("created", &after["version"]);
        created["data"] = after.clone();
        events.push(created);
    }
    events
}

/// Without what says when; without a user where there is none.
fn plain(mut event: Value) -> Value {
    let fields = event.as_object_mut().expect("an object");
    fields.remove("timestamp");
    fields.retain(|_, value| !value.is_null());
    event
}

async fn until_marker(stream: &mut Stream) -> Vec<Value> {
    let mut told = Vec::new();
    loop {
        let message = stream.next_logged().await;
        if message.name == "test:marker" {
            return told;
        }
        told.push(plain(message.json()));
    }
}

async fn mark(place: &mut Place) {
    for broker in ["b", "c"] {
        let marker =
            format!("select porchlight.emit('test:marker', '{{\"broker\": \"{broker}\"}}')");
        run(&mut place.sql, &marker).await;
    }
}

#[tokio::test]
async fn every_change_of_every_module_by_every_way_is_told_once_and_rightly() {
    let mut place = Place::new().await;
    let mut streams = Vec::new();
    for who in &place.viewers {
        streams.push(place.service.stream("/stream", who).await);
    }
    let mut expected: Vec<Vec<Value>> = vec![Vec::new(); place.viewers.len()];
    for (module, singular, required) in MODULES {
        for by in WAYS {
            let life = Life {
                module,
                singular,
                required,
                id: format!("{by:?}"),
                by,
            };
            let mut before = vec![Value::Null; place.viewers.len()];
            for change in life.changes() {
                place.undo(&life, &change).await;
                place.make(&life, &change).await;
                let after = place.seen(&life).await;
                for (n, events) in expected.iter_mut().enumerate() {
                    let of_one = told(&life, change.told, (&before[n], &after[n]));
                    events.extend(of_one.into_iter().map(plain));
                }
                before = after;
            }
        }
    }
    mark(&mut place).await;
    // Those of the same broker are told something, and whoever sees more is told more.
    let counts: Vec<_> = expected.iter().map(Vec::len).collect();
    assert_eq!(counts, [10 * 25, 4 * 25, 12 * 25, 10 * 25, 2 * 25, 0]);
    for ((stream, expected), who) in streams.iter_mut().zip(expected).zip(&place.viewers) {
        let told = until_marker(stream).await;
        for (n, (told, expected)) in told.iter().zip(&expected).enumerate() {
            assert_eq!(told, expected, "{} {n}", who.user);
        }
        assert_eq!(told.len(), expected.len(), "{}", who.user);
    }
}
