//! A connection that a task keeps: giving one back to the pool costs a round trip, which is too
//! much to pay for every event.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::time::Instant;

use super::limit::Limit;
use super::pool::{PING_LIMIT, Pool, ping};

/// A connection that rested longer is asked whether it still lives.
const RESTED: Duration = Duration::from_secs(1);
/// How long that may take when others have been found silent since it was used.
const SUSPECT_PING_LIMIT: Duration = Duration::from_millis(500);

/// A task's own connection, replaced when it breaks or does not answer in time.
#[derive(Debug)]
pub struct DedicatedConnection {
    pool: Pool,
    connection: Option<PoolConnection<Postgres>>,
    used_at: Instant,
}

impl DedicatedConnection {
    /// A connection from `pool`, once it is needed.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self {
            pool,
            connection: None,
            used_at: Instant::now(),
        }
    }

    pub async fn run<T>(
        &mut self,
        operation: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        self.run_within(Limit::QUICK, operation).await
    }

    /// Runs something. After anything but success or a refusal by the database, the connection
    /// is not trusted any more. Where the limit has passed, nobody knows what has happened.
    pub async fn run_within<T>(
        &mut self,
        limit: Limit,
        operation: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let mut connection = self.take().await?;
        let operation = operation(&mut connection);
        let outcome = limit.keep(self.pool.silence(), operation).await.flatten();
        if outcome.as_ref().is_err_and(|error| !is_refusal(error)) {
            close(connection);
        } else {
            self.connection = Some(connection);
            self.used_at = Instant::now();
        }
        outcome
    }

    /// The connection, if it is alive, or a new one.
    async fn take(&mut self) -> sqlx::Result<PoolConnection<Postgres>> {
        let Some(mut connection) = self.connection.take() else {
            return self.pool.acquire().await;
        };
        let silence = self.pool.silence();
        let is_suspect = silence.is_noticed_since(self.used_at);
        if !is_suspect && self.used_at.elapsed() <= RESTED {
            return Ok(connection);
        }
        let limit = if is_suspect {
            SUSPECT_PING_LIMIT
        } else {
            PING_LIMIT
        };
        if ping(&mut connection, limit, silence).await.is_ok() {
            return Ok(connection);
        }
        close(connection);
        self.pool.acquire().await
    }
}

/// Closes a connection at once. It may be in the middle of a statement and may never answer, so
/// it is neither given back nor told. Its place in the pool is free.
pub(super) fn close(connection: PoolConnection<Postgres>) {
    drop(connection.detach());
}

/// SQLSTATE classes of a connection or a server that is going away.
const GOING_AWAY: [&str; 4] = ["08", "57", "58", "XX"];

/// Whether the database refused a statement, which therefore did not happen. After any
/// other error nobody knows.
#[must_use]
pub fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| !GOING_AWAY.iter().any(|class| code.starts_with(class)))
}

/// SQLSTATE classes of a lock that somebody holds, of a deadlock, and of a server that is full.
const FOR_LATER: [&str; 3] = ["55", "40", "53"];

/// Whether a refusal says nothing of what was refused: it may go well another time.
#[must_use]
pub fn is_for_later(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| FOR_LATER.iter().any(|class| code.starts_with(class)))
}
