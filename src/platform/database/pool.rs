//! Connections for whoever needs one for a moment, from a pool that is replaced when its
//! connections have fallen silent.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres, SqlSafeStr, Transaction};
use tokio::time::Instant;

use super::limit;
use super::silence::Silence;

/// How long a connection may take to show that it is alive.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(2);

/// A pool. What sqlx does by itself when a connection is given back has no time limit, so a
/// pool can lose all of its connections to silence. Then a new one takes its place.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    options: PgPoolOptions,
    target: PgConnectOptions,
    silence: Silence,
    current: RwLock<Current>,
}

#[derive(Clone)]
struct Current {
    pool: PgPool,
    opened_at: Instant,
}

impl Pool {
    /// A pool with a connection to `target` to begin with.
    pub(super) async fn connect(
        options: PgPoolOptions,
        target: PgConnectOptions,
        silence: Silence,
    ) -> sqlx::Result<Self> {
        let tested_by = silence.clone();
        let options = options
            .test_before_acquire(false)
            .before_acquire(move |connection, _| {
                let silence = tested_by.clone();
                Box::pin(async move {
                    let tested = ping(connection, PING_LIMIT, &silence).await;
                    tested.map(|()| true)
                })
            });
        let pool = options.clone().connect_with(target.clone()).await?;
        Ok(Self::of(pool, options, target, silence))
    }

    fn of(
        pool: PgPool,
        options: PgPoolOptions,
        target: PgConnectOptions,
        silence: Silence,
    ) -> Self {
        let opened_at = Instant::now();
        Self(Arc::new(Shared {
            options,
            target,
            silence,
            current: RwLock::new(Current { pool, opened_at }),
        }))
    }

    /// A connection that has just shown that it is alive.
    pub async fn acquire(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        limit::note_wait();
        let connection = self.wait().await;
        limit::note_use(&self.0.silence);
        connection
    }

    /// Waits no longer than the pool's options say, or twice that.
    async fn wait(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        let current = self.current();
        tokio::select! {
            biased;
            connection = current.pool.acquire() => return connection,
            // There is nothing to wait for at the pool that was asked.
            () = self.0.silence.noticed_since(current.opened_at) => {}
        }
        self.current().pool.acquire().await
    }

    /// A transaction on such a connection.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.begin_with("begin").await
    }

    /// A transaction that begins with this statement.
    pub async fn begin_with(
        &self,
        statement: &'static str,
    ) -> sqlx::Result<Transaction<'static, Postgres>> {
        let connection = self.acquire().await?;
        Transaction::begin(connection, Some(statement.into_sql_str())).await
    }

    /// How many connections there may be.
    #[must_use]
    pub fn max_connections(&self) -> u32 {
        self.0.options.get_max_connections()
    }

    /// Closes all connections, once they have been given back.
    pub async fn close(&self) {
        let pool = self.read().pool;
        pool.close().await;
    }

    /// What sqlx knows of it.
    pub(super) fn plain(&self) -> PgPool {
        self.current().pool
    }

    pub(super) fn silence(&self) -> &Silence {
        &self.0.silence
    }

    /// The pool as it is now, replaced if its connections are suspect. Those that are in use
    /// go on until they have ended or reached their limits.
    fn current(&self) -> Current {
        let current = self.read();
        if !self.0.silence.is_noticed_since(current.opened_at) {
            return current;
        }
        let lock = self.0.current.write();
        let mut current = lock.unwrap_or_else(PoisonError::into_inner);
        if self.0.silence.is_noticed_since(current.opened_at) {
            let options = self.0.options.clone();
            *current = Current {
                pool: options.connect_lazy_with(self.0.target.clone()),
                opened_at: Instant::now(),
            };
        }
        current.clone()
    }

    fn read(&self) -> Current {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the address, which may have a password in it.
        f.debug_tuple("Pool").field(&self.read().pool).finish()
    }
}

impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Self {
        let options = pool.options().clone();
        let target = PgConnectOptions::clone(&pool.connect_options());
        Self::of(pool, options, target, Silence::default())
    }
}

/// Asks a connection whether it is alive.
pub(super) async fn ping(
    connection: &mut PgConnection,
    limit: Duration,
    silence: &Silence,
) -> sqlx::Result<()> {
    let began = Instant::now();
    let answer = tokio::time::timeout(limit, connection.ping()).await;
    answer.unwrap_or_else(|_| {
        silence.notice(began);
        Err(limit::timed_out())
    })
}
