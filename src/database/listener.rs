//! Listening to what other sessions notify, on a connection that is known to be alive.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgNotification};
use sqlx::{Acquire, Error};

use super::dedicated::close;
use super::limit::Limit;
use super::pool::{PING_LIMIT, Pool, ping};

/// A connection on which nothing was heard for so long is asked whether it is alive: silence
/// sounds like quiet.
const QUIET: Duration = Duration::from_secs(3);

/// A connection that listens.
#[derive(Debug)]
pub struct Listener {
    pool: Pool,
    inner: PgListener,
}

impl Pool {
    /// Begins to listen on these channels.
    pub async fn listen(&self, channels: &[&str]) -> sqlx::Result<Listener> {
        let mut inner = PgListener::connect_with(&self.plain()).await?;
        inner.eager_reconnect(false);
        let listening = inner.listen_all(channels.iter().copied());
        let listening = Limit::QUICK.keep(self.silence(), listening).await.flatten();
        let pool = self.clone();
        let listener = Listener { pool, inner };
        match listening {
            Ok(()) => Ok(listener),
            Err(error) => {
                listener.let_go().await;
                Err(error)
            }
        }
    }
}

impl Listener {
    /// The next notification, unless the connection is lost; then this is of no more use, and
    /// is to be let go.
    pub async fn next(&mut self) -> sqlx::Result<PgNotification> {
        loop {
            match tokio::time::timeout(QUIET, self.inner.try_recv()).await {
                Ok(Ok(Some(note))) => return Ok(note),
                Ok(Ok(None)) => return Err(Error::WorkerCrashed),
                Ok(Err(error)) => return Err(error),
                Err(_) => self.prove_alive().await?,
            }
        }
    }

    /// What comes meanwhile is kept for the next look.
    async fn prove_alive(&mut self) -> sqlx::Result<()> {
        let connection = self.inner.acquire().await?;
        ping(connection, PING_LIMIT, self.pool.silence()).await
    }

    /// Closes a connection that may be dead. A listener that is dropped takes leave of the
    /// server first and waits for the answer, so it is given another connection to do it on.
    pub async fn let_go(mut self) {
        let spare = self.pool.acquire().await;
        if let (Ok(mut spare), Ok(dead)) = (spare, self.inner.acquire().await) {
            std::mem::swap(&mut *spare, dead);
            close(spare);
        }
    }
}
