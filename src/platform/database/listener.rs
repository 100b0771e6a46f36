//! Receives notifications of other sessions, on a connection that is tested when it is quiet.

use std::io;
use std::time::Duration;

use sqlx::Acquire;
use sqlx::postgres::{PgListener, PgNotification};

use super::dedicated::close;
use super::limit::{Limit, is_timeout};
use super::pool::{PING_LIMIT, Pool, ping};

/// A connection without notifications for so long is tested.
const QUIET: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Listener {
    pool: Pool,
    inner: PgListener,
}

impl Pool {
    pub async fn listen(&self, channels: &[&str]) -> sqlx::Result<Listener> {
        let mut inner = PgListener::connect_with(&self.plain()).await?;
        inner.eager_reconnect(false);
        let listening = inner.listen_all(channels.iter().copied());
        let listening = Limit::QUICK.keep(self.silence(), listening).await.flatten();
        let pool = self.clone();
        let mut listener = Listener { pool, inner };
        if let Err(error) = listening {
            listener.abandon(&error).await;
            return Err(error);
        }
        Ok(listener)
    }
}

impl Listener {
    /// The next notification. After an error the listener cannot be used again.
    pub async fn next(&mut self) -> sqlx::Result<PgNotification> {
        loop {
            match tokio::time::timeout(QUIET, self.inner.try_recv()).await {
                Ok(Ok(Some(note))) => return Ok(note),
                Ok(Ok(None)) => return Err(lost()),
                Ok(Err(error)) => return Err(error),
                Err(_) => self.prove_alive().await?,
            }
        }
    }

    /// Notifications that arrive meanwhile stay in the listener.
    async fn prove_alive(&mut self) -> sqlx::Result<()> {
        let connection = self.inner.acquire().await?;
        let alive = ping(connection, PING_LIMIT, self.pool.silence()).await;
        if let Err(error) = &alive {
            self.abandon(error).await;
        }
        alive
    }

    /// Closes a silent connection. When `PgListener` is dropped, it sends UNLISTEN and waits for the
    /// answer without a limit. So it gets another connection for that.
    async fn abandon(&mut self, because: &sqlx::Error) {
        if !is_timeout(because) {
            return;
        }
        let spare = self.pool.acquire_plain().await;
        if let (Ok(mut spare), Ok(silent)) = (spare, self.inner.acquire().await) {
            std::mem::swap(&mut *spare, silent);
            close(spare);
        }
    }
}

fn lost() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into())
}
