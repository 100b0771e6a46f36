//! The workers: each accepts connections in its turn, and serves them and their streams on one thread, which they never
//! leave.
//!
//! A single worker shares the thread of the background tasks: no thread wakes another on the way of an event from its
//! request to the database and on to the streams. More workers have a thread each.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{AppError, DRAIN_TIMEOUT};

mod acceptor;
mod http;

use acceptor::Acceptor;
pub(super) use acceptor::BACKLOG;
pub(super) use http::Http;

/// Open connections may bring requests for so long when the service stops. Their answers say that the connection ends, so
/// clients that send one after the other have left by then.
const LAST_REQUESTS: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Server {
    /// One for each worker, cancelled when it has ended.
    ended: Vec<CancellationToken>,
    closing: CancellationToken,
    stopping: CancellationToken,
}

impl Server {
    /// Starts so many workers.
    pub(super) fn start(listener: TcpListener, http: &Http, workers: usize) -> io::Result<Self> {
        let acceptor = Acceptor::new(listener, http.services.streams.clock.clone())?;
        let acceptor = Arc::new(acceptor);
        let server = Self {
            ended: (0..workers).map(|_| CancellationToken::new()).collect(),
            closing: http.closing.clone(),
            stopping: http.stopping.clone(),
        };
        for (n, ended) in server.ended.iter().enumerate() {
            let (http, acceptor) = (http.clone(), Arc::clone(&acceptor));
            let ended = ended.clone().drop_guard();
            if workers == 1 {
                spawn_local(work(http, acceptor, ended));
            } else {
                spawn_thread(n, http, acceptor, ended)?;
            }
        }
        Ok(server)
    }

    /// Waits until a worker ends, which it should not.
    pub(super) async fn unexpected_end(&self) -> AppError {
        select_all(self.ended.iter().map(|ended| Box::pin(ended.cancelled()))).await;
        AppError::PartEnded("a worker")
    }

    /// Accepts those who have connected, and nobody else. Waits until all have been served, with a limit.
    pub(super) async fn stop(self) {
        self.closing.cancel();
        tokio::time::sleep(LAST_REQUESTS).await;
        self.stopping.cancel();
        let ended = join_all(self.ended.iter().map(CancellationToken::cancelled));
        let _ = tokio::time::timeout(DRAIN_TIMEOUT * 2, ended).await;
    }
}

async fn work(http: Http, acceptor: Arc<Acceptor>, _ended: DropGuard) {
    http.work(acceptor).await;
}

fn spawn_thread(n: usize, http: Http, acceptor: Arc<Acceptor>, ended: DropGuard) -> io::Result<()> {
    let thread = thread::Builder::new().name(format!("worker {n}"));
    thread.spawn(move || {
        let mut runtime = Builder::new_current_thread();
        match runtime.enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime.block_on(work(http, acceptor, ended)),
            Err(error) => tracing::error!(%error, "a worker cannot start"),
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_worker_that_ends_is_noticed() {
        let ended = [CancellationToken::new(), CancellationToken::new()];
        let server = Server {
            ended: ended.to_vec(),
            closing: CancellationToken::new(),
            stopping: CancellationToken::new(),
        };
        assert!(server.unexpected_end().now_or_never().is_none());
        // Also by a panic.
        drop(ended[1].clone().drop_guard());
        let error = server.unexpected_end().await;
        assert!(matches!(error, AppError::PartEnded("a worker")));
    }
}
