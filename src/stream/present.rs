//! Who is here, as a stream tells it.

use serde_json::{Value, json};

use super::{Filter, Reader};
use crate::collab::MOST_LISTED;
use crate::collab::View;
use crate::platform::PageLimit;

const SNAPSHOT: &str = "presence:snapshot";
/// Bytes of people that a snapshot lists. `GET /presence` has the others.
const SNAPSHOT_BYTES: usize = 1 << 20;

/// What a stream's eyes see of people: with records, only those who have one of them open.
#[must_use]
pub fn view<'a>(reader: &'a Reader, filter: &'a Filter) -> View<'a> {
    View {
        audiences: reader.audiences(),
        records: filter.records(),
        by_number: true,
        after: None,
        limit: PageLimit::new(MOST_LISTED, SNAPSHOT_BYTES),
    }
}

/// The event that tells the state as a whole, unless it is filtered out.
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
