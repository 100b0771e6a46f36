//! The snapshot of presence in a stream.

use super::Filter;
use crate::collab::MOST_USERS_LISTED;
use crate::collab::PresenceList;
use crate::collab::View;
use crate::fanout::Reader;
use crate::platform::PageLimit;

pub const SNAPSHOT: &str = "presence:snapshot";
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

/// The event's data, unless the filter leaves it out.
#[must_use]
pub fn snapshot(people: &PresenceList, filter: &Filter) -> Option<String> {
    filter
        .passes_type(SNAPSHOT)
        .then(|| people.event_json(SNAPSHOT))
}
