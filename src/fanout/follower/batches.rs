//! Committed batches, of this instance and of others: published where they continue the log.

use tokio::time::Instant;

use super::Follower;
use super::held::IncompleteLog;
use crate::fanout::BrokerageFanout;
use crate::log::CommittedBatch;

impl Follower {
    /// Publishes commits without a query, unless one of them leaves a gap.
    pub(super) async fn publish_batches(&mut self, batches: Vec<CommittedBatch>) {
        for batch in batches {
            let Some(log) = self.parts.fanout.get(&batch.broker) else {
                if !batch.is_own {
                    self.parts.observer.missed(&batch.broker);
                }
                // No stream here gets the events, but the requests that publish them take memory.
                self.parts.fanout.make_room();
                continue;
            };
            self.publish_others(&log, &batch);
            let (known, is_same) = {
                let ring = log.ring();
                (ring.head(), *ring.epoch() == batch.epoch)
            };
            let first = batch.events.first().map_or(i64::MAX, |e| e.position);
            if !is_same {
                let outcome = self.compare_heads(std::slice::from_ref(&log.id)).await;
                self.report(outcome);
            } else if first <= known + 1 {
                self.publish_batch(&log, &batch);
                self.publish_held(&log);
                if batch.others.is_some() {
                    self.own_commits.add(&log.id, batch.head, Instant::now());
                }
            } else if batch.head > known {
                self.hold_or_read(&log, batch).await;
            }
        }
    }

    /// Publishes the events that an own commit has read, if they continue the log.
    fn publish_others(&self, log: &BrokerageFanout, batch: &CommittedBatch) {
        let Some(others) = &batch.others else {
            return;
        };
        let (known, is_same) = {
            let ring = log.ring();
            (ring.head(), *ring.epoch() == batch.epoch)
        };
        let new = others.partition_point(|event| event.position <= known);
        let events = &others[new..];
        let continues = events.first().is_some_and(|e| e.position == known + 1);
        if is_same && continues {
            self.publish_read(log, events);
            self.parts.observer.saw(&log.id, events);
        }
    }

    /// Publishes the events of a batch that are new.
    fn publish_batch(&self, log: &BrokerageFanout, batch: &CommittedBatch) {
        let known = log.ring().head();
        let new = batch
            .events
            .partition_point(|event| event.position <= known);
        let events = &batch.events[new..];
        if events.is_empty() {
            return;
        }
        if batch.is_own {
            let committed_at = batch.committed_at;
            self.parts.health.record_lag(committed_at.elapsed());
            self.publish(log, events, |_| committed_at);
        } else {
            self.publish_read(log, events);
            self.parts.observer.saw(&log.id, events);
        }
    }

    /// Publishes the batches that waited for the events before `log`'s head.
    fn publish_held(&mut self, log: &BrokerageFanout) {
        while !self.held.is_empty() {
            // The ring is not locked while the batch is published.
            let (known, epoch) = {
                let ring = log.ring();
                (ring.head(), ring.epoch().clone())
            };
            let next = self.held.next(&log.id, &epoch, known, Instant::now());
            let Some(batch) = next else {
                return;
            };
            self.publish_batch(log, &batch);
        }
    }

    /// Events in front of this batch are missing.
    async fn hold_or_read(&mut self, log: &BrokerageFanout, batch: CommittedBatch) {
        let head = batch.head;
        if !self.parts.waits_for_peers {
            // It is read together with those in front of it.
            self.own_commits.remove(&log.id);
            return self.parts.hints.grown(&log.id, head);
        }
        if self.held.hold(batch, Instant::now()) {
            return;
        }
        let waiting = self.held.take(&log.id);
        let head = waiting.map_or(head, |waiting| waiting.head.max(head));
        let outcome = self.catch_up(log, head).await;
        self.report(outcome);
    }

    /// Reads the events that did not arrive.
    pub(super) async fn read_missing(&mut self) {
        for IncompleteLog { broker, head } in self.held.take_due(Instant::now()) {
            let Some(log) = self.parts.fanout.get(&broker) else {
                continue;
            };
            if head > log.ring().head() {
                self.parts.metrics.follower_gaps.inc();
                let outcome = self.catch_up(&log, head).await;
                self.report(outcome);
            }
        }
    }
}
