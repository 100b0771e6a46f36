//! A lock as events and answers have it.

use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;

use super::sessions::rfc3339;
use crate::log::timestamp;
use crate::platform::{ModuleName, RecordId, RecordPath, SessionName, UserId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    pub user_id: UserId,
    /// One of the devices that share the lock.
    pub session: SessionName,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    pub module: ModuleName,
    pub record_id: RecordId,
    pub holder: Holder,
    /// The number of the grant.
    pub fence: i64,
    #[serde(
        serialize_with = "published",
        deserialize_with = "rfc3339::deserialize"
    )]
    pub locked_at: OffsetDateTime,
    /// The end of the lease, unless it is renewed.
    #[serde(
        serialize_with = "published",
        deserialize_with = "rfc3339::deserialize"
    )]
    pub locked_until: OffsetDateTime,
    /// How many users wait for the lock.
    pub waiting: usize,
}

impl Lock {
    pub(super) fn record(&self) -> RecordPath {
        RecordPath {
            module: self.module.clone(),
            id: self.record_id.clone(),
        }
    }
}

fn published<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*at))
}
