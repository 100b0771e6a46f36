//! The presence of a brokerage as a whole, for requests and for streams.

use super::view::PresenceList;
use super::{BrokeragePresence, Presence, PresenceError, View};
use crate::fanout::BrokerageHandle;
use crate::platform::BrokerId;

/// What a view shows of a brokerage.
#[derive(Debug)]
pub struct PresenceSnapshot {
    pub people: PresenceList,
    /// The place in the brokerage's ephemeral ring of the first change after the snapshot.
    pub next: u64,
}

impl Presence {
    /// What `view` shows of a brokerage.
    pub async fn list(
        &self,
        broker: &BrokerId,
        view: &View<'_>,
    ) -> Result<PresenceList, PresenceError> {
        let brokerage = self.brokerage(broker).await?;
        Ok(self.with_staleness(view.of(&brokerage.lock().group)))
    }

    /// The same, for a stream that gets the changes afterwards.
    pub async fn snapshot(
        &self,
        broker: &BrokerId,
        view: &View<'_>,
    ) -> Result<PresenceSnapshot, PresenceError> {
        let brokerage = self.brokerage(broker).await?;
        Ok(self.snapshot_of(&brokerage, view))
    }

    /// The same without waiting, if the brokerage's presence is in memory.
    #[must_use]
    pub fn snapshot_in_memory(
        &self,
        broker: &BrokerId,
        view: &View<'_>,
    ) -> Option<PresenceSnapshot> {
        let brokerage = self.loaded(broker)?;
        Some(self.snapshot_of(&brokerage, view))
    }

    /// Changes are published while the group is locked, so none is lost between state and place.
    fn snapshot_of(&self, brokerage: &BrokeragePresence, view: &View<'_>) -> PresenceSnapshot {
        let locked = brokerage.lock();
        let next = |log: BrokerageHandle| log.ephemeral_ring().next();
        let next = self.0.parts.fanout.get(&brokerage.broker).map_or(0, next);
        PresenceSnapshot {
            people: self.with_staleness(view.of(&locked.group)),
            next,
        }
    }
}
