//! A lock as everybody is told of it.

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::log::timestamp;
use crate::platform::{ModuleName, RecordId, SessionName, UserId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    pub user_id: UserId,
    /// One of the user's devices that keep it.
    pub session: SessionName,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    pub module: ModuleName,
    pub record_id: RecordId,
    pub holder: Holder,
    /// The number of the grant.
    pub fence: i64,
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
