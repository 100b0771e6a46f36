//! Limits how many transactions wait for locked rows. Each of them uses a connection, and one row that
//! is locked for long must not block requests for other rows. So a transaction first waits only for a
//! moment. If the row is still locked, the request waits for a permit here, without a connection, and
//! then tries again with the usual timeout.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::RecordsError;
use super::row;
use crate::platform::Permits;
use crate::platform::Pool;
use crate::platform::UserId;

/// How long a request waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a transaction waits for locked rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowWait {
    /// As long as an ordinary change takes.
    Short,
    /// As long as the session allows.
    Full,
}

#[derive(Debug)]
pub(super) struct WaitLimiter {
    permits: Arc<Semaphore>,
    most: usize,
}

impl WaitLimiter {
    /// Leaves half of a brokerage's connections to requests that do not wait.
    pub(super) fn new(pool: &Pool) -> Self {
        let connections = pool.connections_of_a_brokerage();
        let most = usize::try_from(connections / 2).unwrap_or(1).max(1);
        Self {
            permits: Arc::new(Semaphore::new(most)),
            most,
        }
    }

    pub(super) fn watched_by(&self, permits: &Permits) {
        permits.watch("row_waits", self.most, &self.permits);
    }

    pub(super) async fn permit(&self) -> Result<SemaphorePermit<'_>, RecordsError> {
        let permit = tokio::time::timeout(PERMIT_TIMEOUT, self.permits.acquire()).await;
        permit.ok().and_then(Result::ok).ok_or(RecordsError::Busy)
    }
}

/// Sets the user of a transaction, and how long it waits for rows.
pub(super) async fn set_user(
    connection: &mut PgConnection,
    user: &UserId,
    wait: RowWait,
) -> sqlx::Result<()> {
    match wait {
        RowWait::Short => row::set_user_and_short_timeout(connection, user).await,
        RowWait::Full => row::set_user(connection, user).await,
    }
}
