//! Limits the memory of all rings.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashSet;

use super::Fanout;
use crate::platform::BrokerId;

/// An eviction frees memory down to this share of the budget, so that the next one is not due at
/// once.
const EVICT_TO_PERCENT: usize = 90;

impl Fanout {
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

    /// Empties the rings whose last publish is the longest ago, until there is space again.
    pub(super) fn evict(&self) {
        let brokerages = self.brokerages.read();
        let brokerages = brokerages.unwrap_or_else(PoisonError::into_inner);
        let mut by_use: Vec<_> = brokerages.values().collect();
        by_use.sort_by_key(|brokerage| brokerage.used.load(Ordering::Relaxed));
        for brokerage in by_use {
            if self.bytes() <= self.budget_bytes / 100 * EVICT_TO_PERCENT {
                return;
            }
            self.change(brokerage, |ring| ring.shrink_to(0));
        }
    }
}
