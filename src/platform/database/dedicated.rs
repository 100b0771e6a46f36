//! A connection that a background task keeps while it uses it often, and hands on to the others otherwise.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use tokio::time::Instant;

use super::limit::Limit;
use super::pool::{PING_LIMIT, Pool, ping};
use super::spare::{MOST_IDLE, is_clean};
use super::sqlstate::is_refusal;
use crate::platform::LoopMeter;

/// After a longer pause, the next task gets the connection as soon as the work is done.
const MOST_PAUSE: Duration = Duration::from_millis(250);
/// The limit of the test when other connections have become silent since the last use.
const SUSPECT_PING_LIMIT: Duration = Duration::from_millis(500);

/// Replaces its connection when it breaks or does not answer in time.
#[derive(Debug)]
pub struct DedicatedConnection {
    pool: Pool,
    connection: Option<PoolConnection<Postgres>>,
    used_at: Option<Instant>,
    meter: Option<LoopMeter>,
}

impl DedicatedConnection {
    /// The first use takes a connection from `pool`.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self {
            pool,
            connection: None,
            used_at: None,
            meter: None,
        }
    }

    /// Counts the work as that of a loop.
    #[must_use]
    pub fn counted_by(self, meter: LoopMeter) -> Self {
        Self {
            meter: Some(meter),
            ..self
        }
    }

    pub async fn run<T>(
        &mut self,
        operation: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        self.run_within(Limit::QUICK, operation).await
    }

    /// Runs `operation`. After any error but a refusal by the database, the connection is replaced. After
    /// a timeout, and if the caller stops waiting, the operation may have happened or not.
    pub async fn run_within<T>(
        &mut self,
        limit: Limit,
        operation: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let round = self.meter.as_ref().map(LoopMeter::begin);
        let outcome = self.run_uncounted(limit, operation).await;
        if let Some(round) = round {
            round.end(&outcome);
        }
        outcome
    }

    async fn run_uncounted<T>(
        &mut self,
        limit: Limit,
        operation: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        let is_often = self.used_at.is_some_and(|at| at.elapsed() <= MOST_PAUSE);
        let mut in_use = InUse(Some(self.take().await?));
        let operation = operation(in_use.connection());
        let outcome = limit.keep(self.pool.silence(), operation).await.flatten();
        if outcome.as_ref().err().is_none_or(is_refusal) {
            self.used_at = Some(Instant::now());
            self.connection = in_use.0.take();
            self.hand_on_unless(is_often);
        } else {
            self.pool.close_spares();
        }
        outcome
    }

    /// Keeps a connection that is used often. One with an open transaction goes back to the pool, which sends the
    /// rollback: here it would wait for the next use, and keep its locks until then.
    fn hand_on_unless(&mut self, is_often: bool) {
        let is_kept = |connection: &mut PoolConnection<Postgres>| is_often && is_clean(connection);
        if let Some(connection) = self.connection.take_if(|connection| !is_kept(connection)) {
            self.pool.hand_on(connection);
        }
    }

    /// The connection if it is alive, or else a new one.
    async fn take(&mut self) -> sqlx::Result<PoolConnection<Postgres>> {
        let (Some(mut connection), Some(used_at)) = (self.connection.take(), self.used_at) else {
            return self.pool.acquire_plain().await;
        };
        let silence = self.pool.silence();
        let is_suspect = silence.is_noticed_since(used_at);
        if !is_suspect && used_at.elapsed() <= MOST_IDLE {
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
        self.pool.acquire_plain().await
    }
}

/// A connection that is closed if its operation fails or is dropped half-way.
struct InUse(Option<PoolConnection<Postgres>>);

impl InUse {
    fn connection(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("taken after the operation")
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            close(connection);
        }
    }
}

/// Closes a connection at once, without a message to the server and without returning it to the pool:
/// it may be in the middle of a statement and never answer. Its slot in the pool becomes free.
pub(super) fn close(connection: PoolConnection<Postgres>) {
    drop(connection.detach());
}
