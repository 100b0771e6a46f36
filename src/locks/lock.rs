//! A lock as everybody is told of it.

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::event::json::timestamp;
use crate::ids::{ModuleName, RecordId, SessionName, UserId};

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The user.
    pub user_id: UserId,
    /// One of the user's devices that keep it.
    pub session: SessionName,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// The record's module.
    pub module: ModuleName,
    /// The record.
    pub record_id: RecordId,
    /// Who holds it.
    pub holder: Holder,
    /// The number of the grant.
    pub fence: i64,
    /// Since when.
    #[serde(serialize_with = "moment")]
    pub locked_at: OffsetDateTime,
    /// Until when, unless it is renewed.
    #[serde(serialize_with = "moment")]
    pub locked_until: OffsetDateTime,
    /// How many users have asked for it.
    pub waiting: usize,
}

fn moment<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*at))
}
