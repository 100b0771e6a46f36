//! The thread that runs the server and restarts it.
//!
//! The thread waits for the server's end, so that it is reaped at once: Postgres takes the pid
//! of a zombie for a running server. The thread lives as long as the process, because the
//! parent-death signal is sent when the thread that forked ends.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::Problem;
use crate::owner_lock::OwnerLock;
use crate::server::{Server, Started};

/// The pause before the first restart. Each further quick failure doubles it.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// The longest pause before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The failure of a server that ran this long is not a quick one.
const STEADY_AFTER: Duration = Duration::from_mins(1);
/// After more quick failures in a row the server is not restarted. This many take 20 seconds:
/// enough for the backends of a killed server to release its shared memory.
const QUICK_FAILURES_MAX: u32 = 10;
/// The signals that stop the server, and the time that it has after each: a fast shutdown, an
/// immediate one, a kill.
const STOP_SIGNALS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

#[derive(Clone, Debug)]
pub(crate) enum Status {
    Running,
    /// The server ended, with this at the end of its log, and will be restarted.
    Restarting(String),
    /// The server ended too often. The text is the end of its log.
    GaveUp(String),
    /// The server was asked to stop.
    Stopped,
}

impl Status {
    fn is_final(&self) -> bool {
        matches!(self, Self::GaveUp(_) | Self::Stopped)
    }
}

/// The handle of the thread. Dropping it asks the server to stop.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    status: watch::Receiver<Status>,
}

impl Supervisor {
    /// Starts the thread and the server. The lock is kept until the server has ended.
    pub(crate) fn start(server: Server, lock: OwnerLock) -> Result<Self, Problem> {
        let shared = Arc::new(Shared::default());
        let (sender, status) = watch::channel(Status::Running);
        let thread = SupervisorThread {
            server,
            shared: Arc::clone(&shared),
            status: sender,
        };
        thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || thread.run(lock))
            .map_err(Problem::io("start the thread of", Path::new("postgres")))?;
        Ok(Self { shared, status })
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.shared.state().pid
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(&self) {
        self.shared.forbid_restart();
        for (signal, limit) in STOP_SIGNALS {
            self.shared.send(signal);
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

/// Completes with the end of the log when the server is given up. Never completes when the
/// server is stopped.
pub(crate) async fn crash(mut status: watch::Receiver<Status>) -> String {
    match status.wait_for(Status::is_final).await.as_deref() {
        Ok(Status::GaveUp(log_end)) => return log_end.clone(),
        Ok(_) => {}
        Err(_) => return "its supervisor thread has ended".to_owned(),
    }
    std::future::pending().await
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shared.forbid_restart();
        self.shared.send(Signal::SIGINT);
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

    fn send(&self, signal: Signal) {
        if let Some(pid) = self.state().pid.and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Waits for `pause`, or until the server must stop. Returns whether it must.
    fn stop_asked_within(&self, pause: Duration) -> bool {
        let waited = self
            .stopping
            .wait_timeout_while(self.state(), pause, |state| !state.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopping
    }
}

struct SupervisorThread {
    server: Server,
    shared: Arc<Shared>,
    status: watch::Sender<Status>,
}

impl SupervisorThread {
    fn run(self, lock: OwnerLock) {
        let last = self.keep_running();
        drop(lock);
        self.status.send_replace(last);
    }

    fn keep_running(&self) -> Status {
        let mut quick_failures = 0;
        loop {
            let began = Instant::now();
            let Some(log_end) = self.run_once() else {
                return Status::Stopped;
            };
            quick_failures = count(quick_failures, began.elapsed());
            if quick_failures > QUICK_FAILURES_MAX {
                tracing::error!(%log_end, "Postgres keeps dying: giving up");
                return Status::GaveUp(log_end);
            }
            tracing::warn!(%log_end, quick_failures, "Postgres has ended: restarting it");
            self.status.send_replace(Status::Restarting(log_end));
            if self.shared.stop_asked_within(backoff(quick_failures)) {
                return Status::Stopped;
            }
        }
    }

    /// Runs the server until it ends. Returns the end of its log, or `None` when it was asked
    /// to stop.
    fn run_once(&self) -> Option<String> {
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

    /// Starts the server, or returns `None` when it must stop. One lock covers the check and
    /// the start, so a request to stop never misses a server that is just starting.
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

fn count(quick_failures: u32, ran: Duration) -> u32 {
    if ran >= STEADY_AFTER {
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
    fn a_failure_after_a_long_run_starts_a_new_count() {
        assert_eq!(count(7, Duration::ZERO), 8);
        assert_eq!(count(7, STEADY_AFTER), 1);
    }

    #[test]
    fn the_pause_before_a_restart_ends_when_a_stop_is_asked_for() {
        let shared = Arc::new(Shared::default());
        assert!(!shared.stop_asked_within(Duration::ZERO));
        let waiting = Arc::clone(&shared);
        let waiter = thread::spawn(move || waiting.stop_asked_within(Duration::from_mins(10)));
        shared.forbid_restart();
        assert!(waiter.join().unwrap());
    }
}
