//! Limits the memory of all rings.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashSet;

use super::Fanout;
use crate::platform::BrokerId;

/// An eviction frees memory down to this share of the budget, so that the next one is not due at
/// once.
const EVICT_TO_PERCENT: usize = 90;

/// How much a request that publishes takes, in contents of its events: its body, the events, their columns, the statement with
/// the space in which it grows, the buffer of the connection, and what the allocator keeps of all these.
const PUBLISHING_COPIES: usize = 8;

impl Fanout {
    /// The bytes of all frames in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The limit of these bytes.
    #[must_use]
    pub fn most_bytes(&self) -> usize {
        self.budget_bytes
    }

    /// What frames may take now. Requests that publish take a part of the budget, at most half of it.
    pub(super) fn limit(&self) -> usize {
        let publishing = self.publishing.get().saturating_mul(PUBLISHING_COPIES);
        self.budget_bytes - publishing.min(self.budget_bytes / 2)
    }

    /// Removes brokerages that had no handle at this call and at the last one. `idle` keeps the
    /// brokerages without a handle between calls.
    pub fn forget_idle(&self, idle: &mut FxHashSet<BrokerId>) {
        let brokerages = self.brokerages.write();
        let mut brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        let was_idle = std::mem::take(idle);
        brokerages.retain(|id, brokerage| {
            // Streams may have asked for further encodings meanwhile.
            let difference = brokerage.ring().recount();
            self.bytes.fetch_add(difference, Ordering::Relaxed);
            if brokerage.handles.load(Ordering::Relaxed) > 0 {
                return true;
            }
            if was_idle.contains(id) {
                let bytes = brokerage.ring().counted_bytes();
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                return false;
            }
            idle.insert(id.clone())
        });
    }

    /// Frees memory if frames take more than they may now.
    pub(super) fn make_room(&self) {
        if self.bytes() > self.limit() {
            self.evict();
        }
    }

    /// Empties the rings whose last publish is the longest ago, until there is space again.
    fn evict(&self) {
        let brokerages = self.brokerages.read();
        let brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        let mut by_use: Vec<_> = brokerages.values().collect();
        by_use.sort_by_key(|brokerage| brokerage.used.load(Ordering::Relaxed));
        for brokerage in by_use {
            if self.bytes() <= self.limit() / 100 * EVICT_TO_PERCENT {
                return;
            }
            self.change(brokerage, |ring| ring.shrink_to(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{BrokerSubscriptions, PublishingBytes};
    use crate::platform::Figures;

    #[test]
    fn requests_that_publish_take_a_part_of_the_budget_and_give_it_back() {
        let (publishing, figures) = (PublishingBytes::default(), Figures::default());
        let subscriptions = BrokerSubscriptions::default();
        let fanout = Fanout::new(1_000_000, publishing.clone(), figures, subscriptions);
        assert_eq!(fanout.limit(), 1_000_000);
        let small = publishing.hold(10_000);
        assert_eq!(fanout.limit(), 920_000);
        let large = publishing.hold(usize::MAX / 2);
        assert_eq!(fanout.limit(), 500_000, "half is left for frames");
        drop((small, large));
        assert_eq!(fanout.limit(), 1_000_000);
    }
}
