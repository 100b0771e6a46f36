//! A connection pool that is replaced when its connections have become silent.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres, SqlSafeStr};
use tokio::time::Instant;

use super::limit;
use super::shortage::{Shortage, Waiting};
use super::silence::Silence;
use super::spare::Spares;
use super::transaction::Transaction;
use super::turns::{Turn, Turns};
use crate::platform::figures::Count;

/// A request waits at most this long for its turn, and then for a connection.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A background task waits at most this long for a connection that another one may return, before it opens one more.
const OPENING_WAIT: Duration = Duration::from_millis(250);

/// The limit of the test whether a connection is alive.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(2);

/// sqlx works on a returned connection without a time limit, so a pool can lose all of its connections to
/// silence. Then a new pool takes its place.
#[derive(Clone)]
pub struct Pool(Arc<PoolState>);

struct PoolState {
    options: PgPoolOptions,
    target: PgConnectOptions,
    silence: Silence,
    /// Divides the connections between brokerages.
    turns: Option<Arc<Turns>>,
    current: RwLock<OpenPool>,
    /// Background tasks take connections one after the other. They all begin at once, and most of them work for
    /// a few milliseconds.
    opening: tokio::sync::Mutex<()>,
    spares: Spares,
    /// Requests and tasks that got no connection.
    failures: Count,
    shortage: Shortage,
}

/// A connection of a pool.
#[derive(Debug)]
pub struct PooledConnection {
    connection: PoolConnection<Postgres>,
    // Dropped after the connection.
    turn: Option<Turn>,
}

impl Deref for PooledConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl PooledConnection {
    /// Closes the connection when it is dropped, instead of returning it to the pool.
    pub fn close_on_drop(&mut self) {
        self.connection.close_on_drop();
    }
}

#[derive(Clone)]
struct OpenPool {
    pool: PgPool,
    opened_at: Instant,
}

impl Pool {
    /// Opens the first connection to `target`.
    pub(super) async fn connect(
        options: PgPoolOptions,
        target: PgConnectOptions,
        silence: Silence,
        turns: Option<Arc<Turns>>,
        shortage: Shortage,
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
        let mut state = Self::state(pool, options, target, silence, turns);
        state.shortage = shortage;
        Ok(Self(Arc::new(state)))
    }

    fn state(
        pool: PgPool,
        options: PgPoolOptions,
        target: PgConnectOptions,
        silence: Silence,
        turns: Option<Arc<Turns>>,
    ) -> PoolState {
        let opened_at = Instant::now();
        PoolState {
            options,
            target,
            silence,
            turns,
            current: RwLock::new(OpenPool { pool, opened_at }),
            opening: tokio::sync::Mutex::new(()),
            spares: Spares::default(),
            failures: Count::default(),
            shortage: Shortage::default(),
        }
    }

    /// A connection that was just tested. Requests take turns by brokerage.
    pub async fn acquire(&self) -> sqlx::Result<PooledConnection> {
        limit::note_wait();
        let turn = match &self.0.turns {
            Some(turns) => self.counting_failures(turns.take().await)?,
            None => None,
        };
        let connection = self.next(self.0.shortage.wait()).await?;
        Ok(PooledConnection { connection, turn })
    }

    /// A connection for a background task, which needs no turn.
    pub(super) async fn acquire_plain(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        limit::note_wait();
        let waiting = self.0.shortage.wait();
        if let Some(spare) = self.spare().await {
            return Ok(spare);
        }
        let opening = tokio::time::timeout(OPENING_WAIT, self.0.opening.lock()).await;
        let connection = self.next(waiting).await;
        drop(opening);
        connection
    }

    async fn spare(&self) -> Option<PoolConnection<Postgres>> {
        let spare = self.0.spares.take(&self.0.silence).await?;
        limit::note_use(&self.0.silence);
        Some(spare)
    }

    /// Keeps a connection for the next task, unless somebody waits for one.
    pub(super) fn hand_on(&self, connection: PoolConnection<Postgres>) {
        self.0.spares.put(connection);
        if self.0.shortage.is_awaited() || self.read().pool.is_closed() {
            self.0.spares.clear();
        }
    }

    /// A connection was broken, so others may be.
    pub(super) fn close_spares(&self) {
        self.0.spares.close();
    }

    async fn next(&self, waiting: Waiting) -> sqlx::Result<PoolConnection<Postgres>> {
        if self.read().pool.num_idle() == 0
            && let Some(spare) = self.spare().await
        {
            return Ok(spare);
        }
        let connection = self.wait().await;
        limit::note_use(&self.0.silence);
        match connection {
            Ok(_) => waiting.has_got_one(),
            Err(_) => waiting.has_failed(),
        }
        self.counting_failures(connection)
    }

    fn counting_failures<T>(&self, outcome: sqlx::Result<T>) -> sqlx::Result<T> {
        outcome.inspect_err(|_| self.0.failures.add(1))
    }

    /// Whether somebody lately waited for a connection in vain, and others may still do.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.0.shortage.is_now()
    }

    pub(super) fn failures(&self) -> u64 {
        self.0.failures.get()
    }

    pub(super) fn oldest_wait(&self) -> Duration {
        let turns = self.0.turns.as_ref();
        turns.map_or(Duration::ZERO, |turns| turns.oldest_wait(Instant::now()))
    }

    /// Waits at most twice the limit in the options of the pool.
    async fn wait(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        let current = self.current();
        tokio::select! {
            biased;
            connection = current.pool.acquire() => return connection,
            // This pool will be replaced.
            () = self.0.silence.noticed_since(current.opened_at) => {}
        }
        self.current().pool.acquire().await
    }

    pub async fn begin(&self) -> sqlx::Result<Transaction<'static>> {
        self.begin_with("begin").await
    }

    /// A transaction that begins with this statement.
    pub async fn begin_with(&self, statement: &'static str) -> sqlx::Result<Transaction<'static>> {
        let PooledConnection { connection, turn } = self.acquire().await?;
        let statement = Some(statement.into_sql_str());
        let transaction = sqlx::Transaction::begin(connection, statement).await?;
        Ok(Transaction::with_turn(transaction, turn))
    }

    /// Requests that wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.turns.as_ref().map_or(0, |turns| turns.waiting())
    }

    #[must_use]
    pub fn max_connections(&self) -> u32 {
        self.0.options.get_max_connections()
    }

    /// The connections that one brokerage may use at a time.
    #[must_use]
    pub fn connections_of_a_brokerage(&self) -> u32 {
        let share = self.0.turns.as_ref().map(|turns| turns.most_each());
        share.unwrap_or_else(|| self.0.options.get_max_connections())
    }

    /// Waits for connections in use, and closes all.
    pub async fn close(&self) {
        let pool = self.read().pool;
        self.0.spares.clear();
        pool.close().await;
    }

    pub(super) fn plain(&self) -> PgPool {
        self.current().pool
    }

    pub(super) fn silence(&self) -> &Silence {
        &self.0.silence
    }

    /// The current pool, or a new one if its connections are suspect. Connections in use continue until
    /// their work has ended or reached its limit.
    fn current(&self) -> OpenPool {
        let current = self.read();
        if !self.0.silence.is_noticed_since(current.opened_at) {
            return current;
        }
        let lock = self.0.current.write();
        let mut current = lock.unwrap_or_else(PoisonError::into_inner);
        if self.0.silence.is_noticed_since(current.opened_at) {
            let options = self.0.options.clone();
            *current = OpenPool {
                pool: options.connect_lazy_with(self.0.target.clone()),
                opened_at: Instant::now(),
            };
        }
        current.clone()
    }

    fn read(&self) -> OpenPool {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the address, which may contain a password.
        f.debug_tuple("Pool").field(&self.read().pool).finish()
    }
}

impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Self {
        let options = pool.options().clone();
        let target = PgConnectOptions::clone(&pool.connect_options());
        let state = Self::state(pool, options, target, Silence::default(), None);
        Self(Arc::new(state))
    }
}

/// Tests whether a connection is alive.
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
