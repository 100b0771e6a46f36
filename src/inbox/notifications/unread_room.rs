//! How many more unread notifications users and their brokerage may have.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::unread::KnownUnread;
use crate::log::Audience;
use crate::platform::{BrokerId, QuotaKind, QuotaScope, QuotaSettings, UserId};

/// The most unread notifications, where they are limited.
#[derive(Clone, Copy, Debug)]
pub struct UnreadLimits {
    pub(super) per_user: Option<i64>,
    /// Of those that are for one user alone.
    per_brokerage: Option<i64>,
}

impl UnreadLimits {
    /// For requests, which are refused instead: by the database for their brokerage.
    pub(super) const NONE: Self = Self {
        per_user: None,
        per_brokerage: None,
    };

    #[must_use]
    pub fn of(settings: &QuotaSettings) -> Self {
        let most = |scope| settings.most(QuotaKind::Unread, scope).map(i64::from);
        Self {
            per_user: most(QuotaScope::User),
            per_brokerage: most(QuotaScope::Brokerage),
        }
    }
}

/// What there is, and how much more there may be.
#[derive(Debug, Default)]
pub(super) struct UnreadRoom {
    of_users: BTreeMap<UserId, KnownUnread>,
    per_user: Option<i64>,
    left_for_brokerage: Option<i64>,
}

impl UnreadRoom {
    /// The sequence of the brokerage is locked, so that nobody else adds any.
    pub(super) async fn read(
        connection: &mut PgConnection,
        broker: &BrokerId,
        of_users: BTreeMap<UserId, KnownUnread>,
        limits: UnreadLimits,
    ) -> sqlx::Result<Self> {
        let left_for_brokerage = match limits.per_brokerage {
            Some(most) => Some(most - used(connection, broker).await?),
            None => None,
        };
        Ok(Self {
            of_users,
            per_user: limits.per_user,
            left_for_brokerage,
        })
    }

    /// Counts one more, if there may be one.
    pub(super) fn take(&mut self, audience: &Audience) -> bool {
        let Audience::User(user) = audience else {
            return true;
        };
        let unread = self.of_users.get_mut(user);
        let is_full = |most: i64| unread.as_ref().is_some_and(|unread| unread.count >= most);
        if self.per_user.is_some_and(is_full) || self.left_for_brokerage.is_some_and(|n| n <= 0) {
            return false;
        }
        if let Some(unread) = unread {
            unread.count += 1;
        }
        if let Some(left) = &mut self.left_for_brokerage {
            *left -= 1;
        }
        true
    }

    /// The number of unread ones, if the audience is one user.
    pub(super) fn unread(&self, audience: &Audience) -> Option<KnownUnread> {
        match audience {
            Audience::User(user) => self.of_users.get(user).copied(),
            _ => None,
        }
    }
}

async fn used(connection: &mut PgConnection, broker: &BrokerId) -> sqlx::Result<i64> {
    let used = sqlx::query_scalar!(
        "select used from porchlight.quota_use
         where broker_id = $1 and kind = 'unread' and user_id = ''",
        broker.as_str(),
    );
    Ok(used.fetch_optional(connection).await?.unwrap_or(0))
}
