//! What time changes: people whose turn it is, large crowds, rooms that nobody needs. It goes
//! on whether the database answers or not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::moment::Moment;
use super::{BrokeragePresence, Presence, events};
use crate::log::Audience;
use crate::platform::BrokerId;

/// How exactly time is kept.
const TICK: Duration = Duration::from_millis(100);
/// How often those who look at certain records in a large crowd are woken.
const WAKE: Duration = Duration::from_millis(500);
/// How often large crowds hear how many they are.
const COUNT: Duration = Duration::from_secs(5);
/// How often rooms that nobody needs are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// A room that nobody has entered for so long, and with no signs of ours, is let go.
const IDLE_MS: i64 = 60_000;

pub struct PresenceTimers {
    presence: Presence,
    told: FxHashMap<(BrokerId, Audience), usize>,
}

impl PresenceTimers {
    /// Rounds through the rooms of `presence`.
    #[must_use]
    pub fn new(presence: Presence) -> Self {
        let told = FxHashMap::default();
        Self { presence, told }
    }

    /// Makes them until it is stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        let (mut woken, mut counted, mut swept) = (now, now, now);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if self.presence.blindness().is_some() {
                self.presence.doubt_until(Moment::NEVER);
            }
            self.settle_due();
            if is_due(&mut woken, WAKE) {
                self.wake_crowds();
            }
            if is_due(&mut counted, COUNT) {
                self.tell_counts();
            }
            if is_due(&mut swept, SWEEP) {
                self.sweep();
            }
        }
    }

    fn settle_due(&self) {
        let now = self.presence.now().moment;
        for brokerage in self.presence.all_brokerages() {
            let mut visit = brokerage.enter();
            for user in visit.group.take_due(now) {
                self.presence.judge(&mut visit, &user);
            }
        }
    }

    fn wake_crowds(&self) {
        let fanout = &self.presence.0.parts.fanout;
        for brokerage in self.presence.all_brokerages() {
            if brokerage.unheard.swap(0, Ordering::Relaxed) == 0 {
                continue;
            }
            let large = brokerage.enter().group.large();
            if let Some(log) = fanout.visit(&brokerage.broker) {
                fanout.wake_for_ephemerals(&log, &large);
            }
        }
    }

    fn tell_counts(&mut self) {
        let (fanout, time) = (&self.presence.0.parts.fanout, self.presence.now().time);
        let mut counts = FxHashMap::default();
        for brokerage in self.presence.all_brokerages() {
            let group = brokerage.enter().group;
            for crowd in group.large() {
                let key = (brokerage.broker.clone(), crowd.clone());
                let online = group.online(&crowd);
                if self.told.get(&key) != Some(&online)
                    && let Some(log) = fanout.visit(&brokerage.broker)
                {
                    fanout.publish_ephemeral(&log, events::count(&group, crowd, time));
                }
                counts.insert(key, online);
            }
        }
        self.told = counts;
    }

    /// Rooms without signs of ours that nobody enters or listens to are let go.
    fn sweep(&self) {
        let now_ms = self.presence.now_ms();
        let read = self.presence.0.parts.fanout.active();
        let read: FxHashSet<_> = read.into_iter().collect();
        let is_used = |brokerage: &BrokeragePresence| {
            now_ms - brokerage.used_at.load(Ordering::Relaxed) < IDLE_MS
        };
        let mut brokerages = self.presence.brokerages();
        brokerages.retain(|broker, brokerage| {
            is_used(brokerage) || read.contains(broker) || brokerage.enter().group.has_own()
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
