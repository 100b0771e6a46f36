//! What arrived just before the service stops: new connections, and requests on those that are open.
//!
//! When the server stops, it drops the connections that wait for it in the kernel, and those that wait for their worker
//! thread. Their clients would see a reset, and not know whether their requests were carried out.

use std::cell::Cell;
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_server::ServerHandle;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use tokio::sync::Barrier;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often the server is asked to accept what waits. It does not accept when it has all the connections that it may
/// have.
const MOST_LOOKS: usize = 100;
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// How long worker threads may need to take the connections that were accepted.
const LONGEST_TAKING: Duration = Duration::from_secs(1);
/// Open connections may bring requests for so long. Their answers say that the connection ends, so clients that send one
/// after the other have left by then.
const LAST_REQUESTS: Duration = Duration::from_millis(200);

/// Lets all that has arrived be served before the server stops.
#[derive(Debug)]
pub(super) struct LastArrivals {
    are_accepted: CancellationToken,
    /// Reached by all worker threads, and by the one that stops the server.
    are_taken: Barrier,
}

/// The connections that a worker thread has taken.
pub(super) type Taken = Rc<Cell<u64>>;

impl LastArrivals {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            are_accepted: CancellationToken::new(),
            are_taken: Barrier::new(workers + 1),
        }
    }

    /// Runs on each worker thread.
    pub(super) async fn take(self: Arc<Self>, taken: Taken) {
        self.are_accepted.cancelled().await;
        loop {
            let before = taken.get();
            // The task that takes connections has its turns, too.
            give_turns().await;
            if taken.get() == before {
                break;
            }
        }
        self.are_taken.wait().await;
    }

    /// Stops the server. Connections that come from now on are refused.
    pub(super) async fn stop(&self, server: &ServerHandle, listener: TcpListener) {
        refuse_more(server, &listener).await;
        drop(listener);
        self.are_accepted.cancel();
        let taking = timeout(LONGEST_TAKING, self.are_taken.wait());
        let _ = tokio::join!(taking, sleep(LAST_REQUESTS));
        server.stop(true).await;
    }
}

/// All other tasks of the thread have two turns. Between them, the thread looks for what has arrived at its sockets.
pub(super) async fn give_turns() {
    for _ in 0..2 {
        yield_now().await;
    }
}

/// Closes the listening socket when all connections that wait there have been accepted.
async fn refuse_more(server: &ServerHandle, listener: &TcpListener) {
    for _ in 0..MOST_LOOKS {
        server.pause().await;
        if !has_waiting(listener) {
            break;
        }
        // The server accepts all that wait, if it may.
        server.resume().await;
        sleep(LOOK_PAUSE).await;
    }
    // Linux refuses connections from here on. Elsewhere the stop of the server does.
    let _ = SockRef::from(listener).shutdown(Shutdown::Read);
}

fn has_waiting(listener: &TcpListener) -> bool {
    let mut files = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut files, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
