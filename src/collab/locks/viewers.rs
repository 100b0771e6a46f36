//! Who may see records at the moment when their locks end. A record may have moved to another team since its
//! lock was granted.

use rustc_hash::FxHashMap;
use sqlx::PgConnection;

use super::row::LockRow;
use crate::directory::people::{self, KnownTeams};
use crate::log::{Audience, records};
use crate::platform::{BrokerId, RecordPath, UserId};

#[derive(Debug, Default)]
pub(super) struct RecordViewers {
    audiences: FxHashMap<RecordPath, Audience>,
    /// Of the users who wait for the locks.
    teams: KnownTeams,
}

impl RecordViewers {
    /// Reads them for the records of these locks.
    pub(super) async fn of(
        connection: &mut PgConnection,
        broker: &BrokerId,
        rows: &[LockRow],
    ) -> sqlx::Result<Self> {
        let records = rows.iter().map(|row| (broker.clone(), row.record.clone()));
        let records: Vec<_> = records.collect();
        if records.is_empty() {
            return Ok(Self::default());
        }
        let found = records::audiences(connection, &records).await?;
        let found = found.into_iter().map(|shown| shown.audience);
        let audiences = records.into_iter().map(|(_, record)| record).zip(found);
        let waiting = rows.iter().flat_map(|row| row.waiting.users());
        let waiting: Vec<_> = waiting.cloned().collect();
        let teams = if waiting.is_empty() {
            KnownTeams::default()
        } else {
            people::teams(connection, broker, &waiting).await?
        };
        Ok(Self {
            audiences: audiences.collect(),
            teams,
        })
    }

    pub(super) fn audience(&self, record: &RecordPath) -> &Audience {
        self.audiences.get(record).unwrap_or(&Audience::Broker)
    }

    /// Whether a user who waits for the lock of a record may still see the record.
    pub(super) fn include(&self, record: &RecordPath, user: &UserId) -> bool {
        self.teams.may_receive(user, self.audience(record))
    }
}
