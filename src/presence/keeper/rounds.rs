//! What time changes: people whose turn it is, large crowds, rooms that nobody needs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Keeper;
use crate::presence::moment::Moment;
use crate::presence::{Hall, told};

/// A room that nobody has entered for so long, and with no signs of ours, is let go.
const IDLE_MS: i64 = 60_000;

impl Keeper {
    pub(super) fn now_ms(&self) -> i64 {
        self.presence.now().moment.ms_after(Moment::at_ms(0))
    }

    pub(super) fn all_halls(&self) -> Vec<Arc<Hall>> {
        self.presence.halls().values().cloned().collect()
    }

    pub(super) fn settle_due(&self) {
        let now = self.presence.now().moment;
        for hall in self.all_halls() {
            let mut visit = hall.enter();
            for user in visit.room.take_due(now) {
                self.presence.judge(&mut visit, &user);
            }
        }
    }

    pub(super) fn settle_everybody(&self) {
        for hall in self.all_halls() {
            let mut visit = hall.enter();
            for user in visit.room.everybody() {
                self.presence.judge(&mut visit, &user);
            }
        }
    }

    pub(super) fn wake_crowds(&self) {
        let hub = &self.presence.0.parts.hub;
        for hall in self.all_halls() {
            if hall.unheard.swap(0, Ordering::Relaxed) == 0 {
                continue;
            }
            let large = hall.enter().room.large();
            if let Some(log) = hub.visit(&hall.broker) {
                hub.wake_for_whispers(&log, &large);
            }
        }
    }

    pub(super) fn tell_counts(&mut self) {
        let (hub, time) = (&self.presence.0.parts.hub, self.presence.now().time);
        let mut counts = FxHashMap::default();
        for hall in self.all_halls() {
            let room = hall.enter().room;
            for crowd in room.large() {
                let key = (hall.broker.clone(), crowd.clone());
                let online = room.online(&crowd);
                if self.last.counts.get(&key) != Some(&online)
                    && let Some(log) = hub.visit(&hall.broker)
                {
                    hub.whisper(&log, told::count(&room, crowd, time));
                }
                counts.insert(key, online);
            }
        }
        self.last.counts = counts;
    }

    /// Rooms without signs of ours that nobody enters or listens to are let go.
    pub(super) fn sweep(&self) {
        let now_ms = self.now_ms();
        let read = self.presence.0.parts.hub.active();
        let read: FxHashSet<_> = read.into_iter().collect();
        let is_used = |hall: &Hall| now_ms - hall.used_at.load(Ordering::Relaxed) < IDLE_MS;
        let mut halls = self.presence.halls();
        halls.retain(|broker, hall| {
            is_used(hall) || read.contains(broker) || hall.enter().room.has_own()
        });
    }
}
