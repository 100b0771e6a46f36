//! Connections that background tasks hand on to each other. To take one from a pool and to return it are two round trips more
//! for each look at the database, and most tasks look once a second.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, Postgres};
use tokio::time::Instant;

use super::dedicated::close;
use super::pool::{PING_LIMIT, ping};
use super::silence::Silence;

/// Tasks look at the same moment now and then.
const MOST: usize = 2;
/// A connection that was idle longer is tested before use.
pub(super) const MOST_IDLE: Duration = Duration::from_secs(1);
/// After a connection was broken, the pool tests each one before use for so long: others may break as well.
const MISTRUST: Duration = Duration::from_secs(10);
/// So often one goes back to the pool, which closes connections that are old.
const RETURN_INTERVAL: Duration = Duration::from_mins(1);

/// Connections of a pool, which counts them as its own. They are in use, or nothing is under way on them.
#[derive(Debug)]
pub(super) struct Spares(Mutex<SpareState>);

#[derive(Debug)]
struct SpareState {
    /// The one that was used last is the last one.
    idle: Vec<Spare>,
    returned_at: Instant,
    broken_at: Option<Instant>,
}

#[derive(Debug)]
struct Spare {
    connection: PoolConnection<Postgres>,
    used_at: Instant,
}

impl Default for Spares {
    fn default() -> Self {
        Self(Mutex::new(SpareState {
            idle: Vec::new(),
            returned_at: Instant::now(),
            broken_at: None,
        }))
    }
}

impl Spares {
    /// A connection that is alive, if one is here.
    pub(super) async fn take(&self, silence: &Silence) -> Option<PoolConnection<Postgres>> {
        while let Some(spare) = self.pop() {
            let Spare {
                mut connection,
                used_at,
            } = spare;
            let is_suspect = silence.is_noticed_since(used_at);
            let is_alive = !is_suspect
                && (used_at.elapsed() <= MOST_IDLE
                    || ping(&mut connection, PING_LIMIT, silence).await.is_ok());
            if is_alive {
                return Some(connection);
            }
            close(connection);
        }
        None
    }

    /// Keeps a connection whose last work has ended, or returns it to its pool: if there are enough here, if none went
    /// back for long, if one was broken just now, or if a transaction was left open.
    pub(super) fn put(&self, connection: PoolConnection<Postgres>) {
        let is_clean = is_clean(&connection);
        let mut state = self.lock();
        if state.returned_at.elapsed() >= RETURN_INTERVAL {
            state.returned_at = Instant::now();
        } else if is_clean && !state.is_mistrusted() && state.idle.len() < MOST {
            let used_at = Instant::now();
            state.idle.push(Spare {
                connection,
                used_at,
            });
        }
    }

    /// Returns all to their pool.
    pub(super) fn clear(&self) {
        self.lock().idle.clear();
    }

    /// Closes all: a connection to this server was broken.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.broken_at = Some(Instant::now());
        let idle = state.idle.drain(..);
        idle.for_each(|spare| close(spare.connection));
    }

    fn pop(&self) -> Option<Spare> {
        self.lock().idle.pop()
    }

    fn lock(&self) -> MutexGuard<'_, SpareState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether no transaction was left open. The rollback of one that was dropped waits to be sent.
pub(super) fn is_clean(connection: &PgConnection) -> bool {
    !connection.is_in_transaction() && !connection.should_flush()
}

impl SpareState {
    fn is_mistrusted(&self) -> bool {
        self.broken_at.is_some_and(|at| at.elapsed() < MISTRUST)
    }
}
