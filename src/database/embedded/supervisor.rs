//! The thread that keeps the server alive.
//!
//! It starts the server and waits for its end, so that it is reaped at once (a zombie's
//! `postmaster.pid` would count as alive) and so that the parent-death signal, which
//! follows the thread that forked, comes at the end of the process and not before.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::time::timeout;

use super::EmbeddedError;
use super::lock::DataDirLock;
use super::server::{Server, Started};

/// The first pause before a restart; each further quick failure doubles it.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// The longest pause before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A server that lived this long did not fail quickly.
const STEADY_AFTER: Duration = Duration::from_mins(1);
/// More quick failures in a row than this, and the server is given up: 20 seconds of trying,
/// enough for the backends of a killed server to let go of its shared memory.
const QUICK_FAILURES_MAX: u32 = 10;
/// What the server is told at the end, and how long it has to obey: a fast shutdown, an
/// immediate one, none at all.
const ORDERS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

/// How the server is.
#[derive(Clone, Debug)]
pub(super) enum Status {
    /// Started, and not ended since.
    Running,
    /// Ended with these words, and will be restarted.
    Restarting(String),
    /// Ended with these words once too often.
    GaveUp(String),
    /// Stopped because we said so.
    Stopped,
}

impl Status {
    fn is_final(&self) -> bool {
        matches!(self, Self::GaveUp(_) | Self::Stopped)
    }
}

/// Our end of the thread. Dropped, it asks the server to stop.
#[derive(Debug)]
pub(super) struct Supervisor {
    shared: Arc<Shared>,
    status: watch::Receiver<Status>,
}

impl Supervisor {
    /// Starts the thread, and the server in it. The lock is kept until the server is gone.
    pub(super) fn start(server: Server, lock: DataDirLock) -> Result<Self, EmbeddedError> {
        let shared = Arc::new(Shared::default());
        let (sender, status) = watch::channel(Status::Running);
        let keeper = Keeper {
            server,
            shared: Arc::clone(&shared),
            status: sender,
        };
        thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || keeper.run(lock))
            .map_err(EmbeddedError::io(
                "start the thread of",
                Path::new("postgres"),
            ))?;
        Ok(Self { shared, status })
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.shared.state().pid
    }

    /// Ends with the server's last words when it is given up; never if it is stopped.
    pub(super) fn crashed(&self) -> impl Future<Output = String> + Send + use<> {
        let mut status = self.status();
        async move {
            match status.wait_for(Status::is_final).await.as_deref() {
                Ok(Status::GaveUp(said)) => return said.clone(),
                Ok(_) => {}
                Err(_) => return "the thread that watches it has ended".to_owned(),
            }
            std::future::pending().await
        }
    }

    /// Stops the server and waits until it is gone.
    pub(super) async fn stop(&self) {
        self.shared.forbid_restart();
        for (signal, limit) in ORDERS {
            self.shared.tell(signal);
            let mut status = self.status();
            // An error means that the thread has ended, and with it the server.
            if timeout(limit, status.wait_for(Status::is_final))
                .await
                .is_ok()
            {
                return;
            }
            tracing::warn!(%signal, ?limit, "Postgres did not stop in time");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shared.forbid_restart();
        self.shared.tell(Signal::SIGINT);
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    stopping: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pid: Option<u32>,
    stopping: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forbid_restart(&self) {
        self.state().stopping = true;
        self.stopping.notify_all();
    }

    fn tell(&self, signal: Signal) {
        if let Some(pid) = self.state().pid.and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Whether it is to stop, once `pause` is over or as soon as it is.
    fn stops_within(&self, pause: Duration) -> bool {
        let waited = self
            .stopping
            .wait_timeout_while(self.state(), pause, |state| !state.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }
}

/// The thread's end.
struct Keeper {
    server: Server,
    shared: Arc<Shared>,
    status: watch::Sender<Status>,
}

impl Keeper {
    fn run(self, lock: DataDirLock) {
        let last = self.keep();
        drop(lock);
        self.status.send_replace(last);
    }

    fn keep(&self) -> Status {
        let mut quick_failures = 0;
        loop {
            let began = Instant::now();
            let Some(said) = self.serve() else {
                return Status::Stopped;
            };
            quick_failures = count(quick_failures, began.elapsed());
            if quick_failures > QUICK_FAILURES_MAX {
                tracing::error!(%said, "Postgres keeps dying: giving up");
                return Status::GaveUp(said);
            }
            tracing::warn!(%said, quick_failures, "Postgres has ended: restarting it");
            self.status.send_replace(Status::Restarting(said));
            if self.shared.stops_within(backoff(quick_failures)) {
                return Status::Stopped;
            }
        }
    }

    /// Runs the server to its end. Its last words, or none if it was to stop.
    fn serve(&self) -> Option<String> {
        let ended = match self.spawn()? {
            Ok(mut started) => started
                .child
                .wait()
                .map(|status| format!("{status}: {}", self.server.last_words(started.log_begin))),
            Err(error) => Err(error),
        };
        let mut state = self.shared.state();
        state.pid = None;
        (!state.stopping).then(|| ended.unwrap_or_else(|error| error.to_string()))
    }

    /// None if it is to stop. Looks and starts under one lock, so that an order to stop
    /// finds either no server to come or one that can be told.
    fn spawn(&self) -> Option<io::Result<Started>> {
        let mut state = self.shared.state();
        if state.stopping {
            return None;
        }
        let started = self.server.spawn();
        state.pid = started.as_ref().ok().map(|started| started.child.id());
        Some(started)
    }
}

fn count(quick_failures: u32, lived: Duration) -> u32 {
    if lived >= STEADY_AFTER {
        1
    } else {
        quick_failures + 1
    }
}

fn backoff(quick_failures: u32) -> Duration {
    let doubled =
        BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(quick_failures.saturating_sub(1)));
    doubled.min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!(backoff(1), BACKOFF_FIRST);
        assert_eq!(backoff(2), BACKOFF_FIRST * 2);
        assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
    }

    #[test]
    fn a_server_that_lived_for_long_starts_a_new_count() {
        assert_eq!(count(7, Duration::ZERO), 8);
        assert_eq!(count(7, STEADY_AFTER), 1);
    }

    #[test]
    fn the_pause_before_a_restart_ends_with_the_order_to_stop() {
        let shared = Arc::new(Shared::default());
        assert!(!shared.stops_within(Duration::ZERO));
        let waiting = Arc::clone(&shared);
        let waiter = thread::spawn(move || waiting.stops_within(Duration::from_mins(10)));
        shared.forbid_restart();
        assert!(waiter.join().unwrap());
    }
}
