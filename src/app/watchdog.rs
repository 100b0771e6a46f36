//! Tells the service manager that the process is alive, for as long as all of its threads are.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::platform::ServiceManager;

/// Threads beat, and the manager is told, this often in the time that the manager waits.
const BEATS: u32 = 4;

/// Watches the threads that serve connections. It runs with the background tasks, so that it ends with them when they
/// hang. The database does not count: without it, a restart would help nobody.
#[derive(Debug)]
pub(super) struct Watchdog {
    interval: Duration,
    created_at: Instant,
    threads: Mutex<Vec<Weak<ThreadPulse>>>,
}

/// Milliseconds from the watchdog's creation to the last beat of a thread.
#[derive(Debug)]
struct ThreadPulse(AtomicU64);

impl Watchdog {
    /// For a manager that waits so long for a sign of life.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            interval: patience / BEATS,
            created_at: Instant::now(),
            threads: Mutex::default(),
        }
    }

    /// Beats for the thread that runs this. A thread that has ended no longer counts: the service stops then.
    pub(super) fn beat(self: Arc<Self>) -> impl Future<Output = ()> {
        let pulse = self.add();
        async move {
            let mut ticks = tokio::time::interval(self.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let now = ticks.tick().await;
                self.record(&pulse, now);
            }
        }
    }

    /// Tells the manager that the process is alive, until `stop` or until a thread does not beat.
    pub(super) async fn watch(
        self: Arc<Self>,
        manager: Arc<ServiceManager>,
        stop: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = tokio::select! {
                () = stop.cancelled() => return,
                now = ticks.tick() => now,
            };
            if self.is_alive_at(now) {
                manager.tell_alive();
            } else {
                tracing::error!("a thread that serves connections hangs");
            }
        }
    }

    fn add(&self) -> Arc<ThreadPulse> {
        let pulse = Arc::new(ThreadPulse(AtomicU64::new(0)));
        self.record(&pulse, Instant::now());
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.strong_count() > 0);
        threads.push(Arc::downgrade(&pulse));
        pulse
    }

    fn record(&self, pulse: &ThreadPulse, now: Instant) {
        pulse.0.store(self.milliseconds(now), Ordering::Relaxed);
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.created_at);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// A thread may miss one beat, because it has much to do.
    fn is_alive_at(&self, now: Instant) -> bool {
        let now = self.milliseconds(now);
        let most = u64::try_from((self.interval * 2).as_millis()).unwrap_or(u64::MAX);
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pulses = threads.iter().filter_map(Weak::upgrade);
        pulses.all(|pulse| now.saturating_sub(pulse.0.load(Ordering::Relaxed)) <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_alive_while_every_thread_beats() {
        let watchdog = Watchdog::new(Duration::from_secs(40));
        let at = |seconds| watchdog.created_at + Duration::from_secs(seconds);
        let (first, second) = (watchdog.add(), watchdog.add());
        assert!(watchdog.is_alive_at(at(20)));
        assert!(!watchdog.is_alive_at(at(21)));
        watchdog.record(&first, at(20));
        assert!(!watchdog.is_alive_at(at(21)), "the second one hangs");
        watchdog.record(&second, at(21));
        assert!(watchdog.is_alive_at(at(40)) && !watchdog.is_alive_at(at(41)));
        drop(first);
        assert!(
            watchdog.is_alive_at(at(41)),
            "one has ended, the other beats"
        );
        assert!(!watchdog.is_alive_at(at(42)));
    }
}
