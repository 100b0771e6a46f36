//! What changes by time alone: people whose signs end, counts of large crowds, brokerages that can
//! leave memory. It does not depend on the database.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::moment::Moment;
use super::{BrokeragePresence, Presence, events, locked};
use crate::log::Audience;
use crate::platform::BrokerId;

/// The precision of all ends, and the time between two releases of changes.
const TICK: Duration = Duration::from_millis(100);
/// The time between two ticks while no brokerage is in memory.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// After a release that wakes many streams, the next one waits a millisecond for each so many: when thousands
/// arrive or leave at once, telling all others of them must not take most of the CPU.
const STREAMS_PER_MS: i64 = 5;
const LONGEST_PAUSE_MS: i64 = 1_000;
/// The time between two wake-ups of streams of large crowds that are filtered by record.
const WAKE: Duration = Duration::from_millis(500);
/// The time between two counts of a large crowd.
const COUNT: Duration = Duration::from_secs(5);
/// The time between two removals of brokerages from memory.
const REMOVE_IDLE: Duration = Duration::from_secs(30);
/// A brokerage stays in memory for so long after its last use.
const IDLE_MS: i64 = 60_000;

pub struct PresenceTimers {
    presence: Presence,
    /// The count of each large crowd that was published last.
    counts: FxHashMap<(BrokerId, Audience), usize>,
}

impl PresenceTimers {
    #[must_use]
    pub fn new(presence: Presence) -> Self {
        let counts = FxHashMap::default();
        Self { presence, counts }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        let (mut last_wake, mut last_count, mut last_removal) = (now, now, now);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.presence.0.has_brokerages.notified() => {}
                _ = ticks.tick() => {}
            }
            if self.presence.staleness().is_some() {
                self.presence.distrust_ends_until(Moment::NEVER);
            }
            self.evaluate_due();
            if is_due(&mut last_wake, WAKE) {
                self.wake_large_crowds();
            }
            if is_due(&mut last_count, COUNT) {
                self.publish_counts();
            }
            self.release_changes();
            if is_due(&mut last_removal, REMOVE_IDLE) {
                self.remove_idle();
            }
            if self.presence.brokerages().is_empty() {
                ticks.reset_after(IDLE_TICK);
            } else {
                ticks.reset();
            }
        }
    }

    fn evaluate_due(&self) {
        let now = self.presence.now().moment;
        for brokerage in self.presence.all_brokerages() {
            let mut locked = brokerage.lock();
            for user in locked.group.take_due(now) {
                self.presence.evaluate(&mut locked, &user);
            }
        }
    }

    /// Each stream gets all changes since the last release in one write.
    fn release_changes(&self) {
        let fanout = &self.presence.0.parts.fanout;
        let now_ms = self.presence.now_ms();
        for brokerage in self.presence.all_brokerages() {
            if now_ms < brokerage.release_at.load(Ordering::Relaxed) {
                continue;
            }
            let changed = std::mem::take(&mut *locked(&brokerage.changed));
            if changed.is_empty() {
                continue;
            }
            if let Some(log) = fanout.get(&brokerage.broker) {
                let readers = changed.iter().map(|audience| log.ring().readers(audience));
                let pause_ms =
                    i64::try_from(readers.sum::<usize>()).unwrap_or(i64::MAX) / STREAMS_PER_MS;
                let release_at = now_ms.saturating_add(pause_ms.min(LONGEST_PAUSE_MS));
                brokerage.release_at.store(release_at, Ordering::Relaxed);
                fanout.release_ephemerals(&log, &changed);
            }
        }
    }

    fn wake_large_crowds(&self) {
        let fanout = &self.presence.0.parts.fanout;
        for brokerage in self.presence.all_brokerages() {
            if brokerage.silent_events.swap(0, Ordering::Relaxed) == 0 {
                continue;
            }
            let large = brokerage.lock().group.large();
            if let Some(log) = fanout.get(&brokerage.broker) {
                fanout.release_ephemerals(&log, &large);
            }
        }
    }

    /// Publishes the counts that have changed.
    fn publish_counts(&mut self) {
        let (fanout, time) = (&self.presence.0.parts.fanout, self.presence.now().time);
        let mut counts = FxHashMap::default();
        for brokerage in self.presence.all_brokerages() {
            let group = brokerage.lock().group;
            for crowd in group.large() {
                let key = (brokerage.broker.clone(), crowd.clone());
                let online = group.online(&crowd);
                if self.counts.get(&key) != Some(&online)
                    && let Some(log) = fanout.get(&brokerage.broker)
                {
                    let event = events::count(&group, crowd, time);
                    brokerage.publish(&log, event);
                }
                counts.insert(key, online);
            }
        }
        self.counts = counts;
    }

    /// Removes brokerages that nobody uses, that no stream reads, and of which this instance has no
    /// signs.
    fn remove_idle(&self) {
        let now_ms = self.presence.now_ms();
        let read = self.presence.0.parts.fanout.active();
        let read: FxHashSet<_> = read.into_iter().collect();
        let is_used = |brokerage: &BrokeragePresence| {
            now_ms - brokerage.used_at.load(Ordering::Relaxed) < IDLE_MS
        };
        let mut brokerages = self.presence.brokerages();
        brokerages.retain(|broker, brokerage| {
            is_used(brokerage) || read.contains(broker) || brokerage.lock().group.has_own_signs()
        });
    }
}

fn is_due(last: &mut Instant, every: Duration) -> bool {
    let is_due = last.elapsed() >= every;
    if is_due {
        *last = Instant::now();
    }
    is_due
}
