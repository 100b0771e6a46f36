//! How much of its quotas a user and a brokerage have.

use sqlx::PgConnection;

use super::{QuotaKind, QuotaScope};
use crate::platform::{BrokerId, UserId};

/// What triggers have counted for a user and the user's brokerage.
#[derive(Clone, Debug, Default)]
pub struct QuotaUse(Vec<UseRow>);

#[derive(Clone, Debug)]
struct UseRow {
    kind: String,
    /// Empty for the brokerage.
    user_id: String,
    used: i64,
}

impl QuotaUse {
    /// Reads a few rows of one index.
    pub async fn read(
        connection: &mut PgConnection,
        broker: &BrokerId,
        user: &UserId,
    ) -> sqlx::Result<Self> {
        let kinds = QuotaKind::ALL.map(QuotaKind::as_str);
        let rows = sqlx::query_as!(
            UseRow,
            "select kind, user_id, used from porchlight.quota_use
             where broker_id = $1 and kind = any($2) and user_id = any(array['', $3])",
            broker.as_str(),
            &kinds as &[&str],
            user.as_str(),
        );
        rows.fetch_all(connection).await.map(Self)
    }

    /// What was never counted is 0.
    #[must_use]
    pub fn of(&self, kind: QuotaKind, scope: QuotaScope) -> i64 {
        let is_it = |row: &&UseRow| {
            row.kind == kind.as_str() && row.user_id.is_empty() == (scope == QuotaScope::Brokerage)
        };
        self.0.iter().find(is_it).map_or(0, |row| row.used)
    }
}
