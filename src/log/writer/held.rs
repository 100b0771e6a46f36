//! Logs that another transaction holds: an instance that is stuck, or somebody at a prompt. They must not stop the logs of
//! other brokerages.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;
use sqlx::PgConnection;

use super::PublishRequest;
use crate::platform::BrokerId;

/// How long a commit waits for its logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as the connection says: seconds.
    Usual,
    Short,
}

impl Patience {
    pub(super) async fn set(self, transaction: &mut PgConnection) -> sqlx::Result<()> {
        if self == Self::Short {
            sqlx::query!("set local lock_timeout = '200ms'")
                .execute(transaction)
                .await?;
        }
        Ok(())
    }
}

/// A group in parts that do not wait for each other.
pub(super) struct SplitGroup {
    pub(super) free: Vec<PublishRequest>,
    /// Of each held log, in order.
    pub(super) held: Vec<Vec<PublishRequest>>,
}

/// The brokerages whose log was held when something was last published there.
#[derive(Debug, Default)]
pub(super) struct HeldLogs(FxHashSet<BrokerId>);

impl HeldLogs {
    pub(super) fn insert(&mut self, broker: BrokerId, error: &sqlx::Error) {
        if !self.0.contains(&broker) {
            tracing::warn!(%broker, %error, "another transaction holds the log of a brokerage: its events are refused");
            self.0.insert(broker);
        }
    }

    pub(super) fn remove(&mut self, broker: &BrokerId) {
        self.0.remove(broker);
    }

    pub(super) fn split(&self, group: Vec<PublishRequest>) -> SplitGroup {
        if self.0.is_empty() {
            let (free, held) = (group, Vec::new());
            return SplitGroup { free, held };
        }
        let is_held = |request: &PublishRequest| self.0.contains(&request.request.broker);
        let (held, free) = group.into_iter().partition(is_held);
        SplitGroup {
            free,
            held: by_brokerage(held),
        }
    }
}

pub(super) fn by_brokerage(group: Vec<PublishRequest>) -> Vec<Vec<PublishRequest>> {
    let mut groups: BTreeMap<BrokerId, Vec<_>> = BTreeMap::new();
    for request in group {
        let of_brokerage = groups.entry(request.request.broker.clone());
        of_brokerage.or_default().push(request);
    }
    groups.into_values().collect()
}
