//! A connection that a task keeps: giving one back to the pool costs a round trip, which
//! is too much to pay for every event.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use tokio::time::Instant;

/// A connection that rested longer is asked whether it still lives.
const RESTED: Duration = Duration::from_secs(1);

/// A task's own connection, replaced when it breaks.
#[derive(Debug)]
pub struct Kept {
    pool: PgPool,
    connection: Option<PoolConnection<Postgres>>,
    used_at: Instant,
}

impl Kept {
    /// A connection from `pool`, once it is needed.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            connection: None,
            used_at: Instant::now(),
        }
    }

    /// The connection.
    pub async fn get(&mut self) -> sqlx::Result<&mut PgConnection> {
        let has_rested = self.used_at.elapsed() > RESTED;
        self.used_at = Instant::now();
        let mut kept = self.connection.take();
        if has_rested
            && let Some(connection) = &mut kept
            && connection.ping().await.is_err()
        {
            kept = None;
        }
        let connection = match kept {
            Some(connection) => connection,
            None => self.pool.acquire().await?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Passes an outcome on; after anything but a refusal by the database, the connection
    /// is not trusted any more.
    pub fn after<T>(&mut self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        if outcome.as_ref().is_err_and(|error| !is_refusal(error)) {
            self.connection = None;
        }
        outcome
    }
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
