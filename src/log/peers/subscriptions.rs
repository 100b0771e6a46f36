//! The brokerages whose notices this instance needs: those with streams or requests that wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;

use crate::platform::BrokerId;

/// Without a backplane that has channels for brokerages, it remembers nothing.
#[derive(Clone, Debug, Default)]
pub struct BrokerSubscriptions(Option<Arc<SharedSubscriptions>>);

#[derive(Debug, Default)]
struct SharedSubscriptions {
    wanted: Mutex<WantedBrokers>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct WantedBrokers {
    /// How often each is wanted.
    counts: FxHashMap<BrokerId, usize>,
    /// Those that became wanted or unwanted since the changes were last taken.
    changed: FxHashSet<BrokerId>,
}

/// While it exists, the notices of its brokerage are received.
#[derive(Debug)]
pub struct BrokerSubscription {
    _until_dropped: Option<OneSubscription>,
}

#[derive(Debug)]
struct OneSubscription {
    shared: Arc<SharedSubscriptions>,
    broker: BrokerId,
}

/// What has changed since the last look.
#[derive(Debug, Default)]
pub(super) struct SubscriptionChanges {
    pub(super) wanted: Vec<BrokerId>,
    pub(super) unwanted: Vec<BrokerId>,
}

impl BrokerSubscriptions {
    /// For a backplane that has a channel for each brokerage.
    #[must_use]
    pub fn by_brokerage() -> Self {
        Self(Some(Arc::default()))
    }

    #[must_use]
    pub fn subscribe(&self, broker: &BrokerId) -> BrokerSubscription {
        let Some(shared) = &self.0 else {
            return BrokerSubscription {
                _until_dropped: None,
            };
        };
        let mut wanted = shared.wanted();
        let count = wanted.counts.entry(broker.clone()).or_default();
        *count += 1;
        if *count == 1 {
            wanted.changed.insert(broker.clone());
            shared.changed.notify_one();
        }
        drop(wanted);
        let subscription = OneSubscription {
            shared: Arc::clone(shared),
            broker: broker.clone(),
        };
        BrokerSubscription {
            _until_dropped: Some(subscription),
        }
    }

    pub(super) fn is_wanted(&self, broker: &BrokerId) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| shared.wanted().counts.contains_key(broker))
    }

    /// All that are wanted. Changes count from here on.
    pub(super) fn all(&self) -> Vec<BrokerId> {
        let Some(shared) = &self.0 else {
            return Vec::new();
        };
        let mut wanted = shared.wanted();
        wanted.changed.clear();
        wanted.counts.keys().cloned().collect()
    }

    /// Waits until there may be changes.
    pub(super) async fn changed(&self) {
        match &self.0 {
            Some(shared) => shared.changed.notified().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn take_changes(&self) -> SubscriptionChanges {
        let Some(shared) = &self.0 else {
            return SubscriptionChanges::default();
        };
        let mut wanted = shared.wanted();
        let changed = std::mem::take(&mut wanted.changed);
        let (wanted, unwanted) = changed
            .into_iter()
            .partition(|broker| wanted.counts.contains_key(broker));
        SubscriptionChanges { wanted, unwanted }
    }
}

impl SharedSubscriptions {
    fn wanted(&self) -> MutexGuard<'_, WantedBrokers> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OneSubscription {
    fn drop(&mut self) {
        let mut wanted = self.shared.wanted();
        if let Some(count) = wanted.counts.get_mut(&self.broker) {
            *count -= 1;
            if *count == 0 {
                wanted.counts.remove(&self.broker);
                wanted.changed.insert(self.broker.clone());
                self.shared.changed.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokerage_is_wanted_while_anything_needs_it() {
        let subscriptions = BrokerSubscriptions::by_brokerage();
        let broker: BrokerId = "b".parse().unwrap();
        let first = subscriptions.subscribe(&broker);
        let second = subscriptions.subscribe(&broker);
        assert_eq!(subscriptions.take_changes().wanted.first(), Some(&broker));
        drop(first);
        assert!(subscriptions.take_changes().unwanted.is_empty());
        drop(second);
        assert_eq!(subscriptions.take_changes().unwanted.first(), Some(&broker));
        assert!(subscriptions.all().is_empty());
        let unused = BrokerSubscriptions::default();
        drop(unused.subscribe(&broker));
        assert!(unused.all().is_empty());
    }
}
