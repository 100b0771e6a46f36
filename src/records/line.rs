//! Who wants a row that another transaction holds waits for it in the database, and keeps a
//! connection meanwhile. Of those there are few: whoever holds a row for long must not make
//! everybody wait who wants other rows. So one first looks only for a moment, and then stands in
//! line here, without a connection.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::RecordsError;
use super::row;
use crate::platform::Pool;
use crate::platform::UserId;

/// How long one stands in line before one hears that somebody is at it.
const STAND: Duration = Duration::from_secs(2);

/// How long a transaction waits for rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// As long as an ordinary change takes.
    Moment,
    /// As long as the session does.
    Turn,
}

/// The line, and turns for those at its front.
#[derive(Debug)]
pub(super) struct Line {
    turns: Semaphore,
}

impl Line {
    /// A line that leaves others half of the connections.
    pub(super) fn before(pool: &Pool) -> Self {
        let connections = pool.max_connections();
        let turns = usize::try_from(connections / 2).unwrap_or(1).max(1);
        Self {
            turns: Semaphore::new(turns),
        }
    }

    /// One's turn to wait in the database; it lasts while this is held.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, RecordsError> {
        let turn = tokio::time::timeout(STAND, self.turns.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or(RecordsError::Busy)
    }
}

/// Says who writes in this transaction, and for how long it waits.
pub(super) async fn sign(
    connection: &mut PgConnection,
    user: &UserId,
    wait: Wait,
) -> sqlx::Result<()> {
    match wait {
        Wait::Moment => row::sign_in_a_hurry(connection, user).await,
        Wait::Turn => row::sign(connection, user).await,
    }
}
