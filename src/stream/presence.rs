//! The snapshot of presence in a stream.

use serde_json::{Value, json};

use super::Filter;
use crate::collab::MOST_USERS_LISTED;
use crate::collab::View;
use crate::fanout::Reader;
use crate::platform::PageLimit;

const SNAPSHOT: &str = "presence:snapshot";
/// The limit of a snapshot. `GET /presence` lists the others.
const SNAPSHOT_BYTES: usize = 1 << 20;

/// With a filter of records, a stream sees only the users that have one of them open.
#[must_use]
pub fn view<'a>(reader: &'a Reader, filter: &'a Filter) -> View<'a> {
    View {
        audiences: reader.audiences(),
        records: filter.records(),
        by_number: true,
        after: None,
        limit: PageLimit::new(MOST_USERS_LISTED, SNAPSHOT_BYTES),
    }
}

/// The event, unless the filter leaves it out.
#[must_use]
pub fn snapshot(people: Value, filter: &Filter) -> Option<Value> {
    if !filter.passes_type(SNAPSHOT) {
        return None;
    }
    let mut snapshot = json!({"type": SNAPSHOT});
    if let (Value::Object(all), Value::Object(people)) = (&mut snapshot, people) {
        all.extend(people.into_iter().filter(|(name, _)| name != "next"));
    }
    Some(snapshot)
}
