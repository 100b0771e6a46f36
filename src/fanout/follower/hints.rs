//! Hints that come together lead to one read.

use std::time::Duration;

use tokio::time::Instant;

use super::own_commits::LateHint;
use super::{Follower, LATE_COMMIT, READ_TOGETHER};
use crate::fanout::Fanout;
use crate::log::{ChangeHints, Changes, FollowedLogs};
use crate::platform::BrokerId;

/// The hints at this moment, or the next ones after it.
pub(super) async fn hints_from(hints: &ChangeHints, moment: Instant) -> Changes {
    if Instant::now() < moment {
        tokio::time::sleep_until(moment).await;
    }
    hints.take().await
}

impl Follower {
    pub(super) async fn read_changes(&mut self, changes: Changes) {
        if changes.everywhere {
            self.parts.observer.missed_any();
            self.pause_reads();
            let outcome = self.compare_all_heads().await;
            return self.report(outcome);
        }
        if !changes.unverified.is_empty() {
            self.pause_reads();
            let brokers: Vec<_> = changes.unverified.into_iter().collect();
            let outcome = self.compare_heads(&brokers).await;
            self.report(outcome);
        }
        for (broker, head) in changes.heads {
            let log = self.parts.fanout.get(&broker);
            let is_new = log.is_none_or(|log| head > log.ring().head());
            let hint = LateHint { broker, head };
            if is_new && !self.own_commits.hold(&hint, self.late_since()) {
                self.read_hint(hint).await;
            }
        }
    }

    async fn read_hint(&mut self, LateHint { broker, head }: LateHint) {
        let Some(log) = self.parts.fanout.get(&broker) else {
            return self.parts.observer.missed(&broker);
        };
        let known = log.ring().head();
        if head > known {
            self.pause_reads();
            let outcome = self.catch_up(&log, head).await;
            self.report(outcome);
        }
    }

    /// Reads what hints are about that no commit of this instance has answered.
    pub(super) async fn read_late_hints(&mut self) {
        for hint in self.own_commits.take_late(self.late_since()) {
            self.read_hint(hint).await;
        }
    }

    /// When the first hint has waited long enough for a commit of this instance.
    pub(super) fn late_at(&self) -> Option<Instant> {
        self.own_commits.due_at(self.longest_wait())
    }

    fn late_since(&self) -> Instant {
        let now = Instant::now();
        now.checked_sub(self.longest_wait()).unwrap_or(now)
    }

    fn longest_wait(&self) -> Duration {
        self.parts.instances.spread(READ_TOGETHER) + LATE_COMMIT
    }

    /// Hints that come together lead to one read.
    fn pause_reads(&mut self) {
        self.read_at = Instant::now() + self.parts.instances.spread(READ_TOGETHER);
    }
}

impl FollowedLogs for Fanout {
    fn known(&self, broker: &BrokerId) -> Option<i64> {
        let log = self.get(broker)?;
        let known = log.ring().head();
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hints_that_come_during_the_pause_lead_to_one_read() {
        let (hints, broker) = (ChangeHints::default(), BrokerId::parse("b").unwrap());
        let moment = Instant::now() + Duration::from_millis(20);
        hints.grown(&broker, 1);
        let (changes, ()) = tokio::join!(hints_from(&hints, moment), async {
            tokio::task::yield_now().await;
            hints.grown(&broker, 2);
        });
        assert!(Instant::now() >= moment);
        assert_eq!(changes.heads[&broker], 2);
    }
}
