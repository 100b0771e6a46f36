//! The end of a change: the log is appended to, the change is committed, and told.

use rustc_hash::FxHashMap;
use sqlx::{Postgres, Transaction};

use super::{Appended, Batch, append};
use crate::log::event::NewEvent;
use crate::log::hints::{CommitNotifier, CommittedBatch};
use crate::platform::BrokerId;
use crate::platform::Dice;

/// Commits changes and tells of them.
#[derive(Clone, Debug)]
pub struct EventCommitter {
    dice: Dice,
    committed: CommitNotifier,
}

/// What a transaction has appended, and tells once it is committed.
#[derive(Debug)]
pub struct PendingEvents {
    told: Vec<(Appended, Vec<NewEvent>)>,
}

impl PendingEvents {
    /// The log that was appended to, if anything was.
    #[must_use]
    pub fn log(&self) -> Option<&Appended> {
        self.told.first().map(|(log, _)| log)
    }
}

impl EventCommitter {
    /// One who tells as `committed` does.
    #[must_use]
    pub fn new(dice: Dice, committed: CommitNotifier) -> Self {
        Self { dice, committed }
    }

    /// For names of new logs.
    #[must_use]
    pub fn dice(&self) -> &Dice {
        &self.dice
    }

    /// Appends events, possibly none, to a broker's log, which is the transaction's to its end.
    pub async fn append(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        broker: &BrokerId,
        events: Vec<NewEvent>,
    ) -> sqlx::Result<PendingEvents> {
        let one = (broker.clone(), events);
        self.append_all(transaction, vec![one]).await
    }

    /// Appends to many logs; each broker's events in one list.
    pub async fn append_all(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        mut told: Vec<(BrokerId, Vec<NewEvent>)>,
    ) -> sqlx::Result<PendingEvents> {
        told.retain(|(_, events)| !events.is_empty());
        if told.is_empty() {
            return Ok(PendingEvents { told: Vec::new() });
        }
        let batches = told.iter().map(|(broker, events)| Batch {
            broker,
            events: events.iter().collect(),
        });
        let batches: Vec<_> = batches.collect();
        let logs = append(transaction, &self.dice, &batches).await?;
        let mut events: FxHashMap<_, _> = told.into_iter().collect();
        let of_log = |log: Appended| {
            let events = events.remove(&log.broker).unwrap_or_default();
            (log, events)
        };
        let told = logs.into_iter().map(of_log).collect();
        Ok(PendingEvents { told })
    }

    /// Commits, and tells of what was appended.
    pub async fn commit(
        &self,
        transaction: Transaction<'_, Postgres>,
        pending: PendingEvents,
    ) -> sqlx::Result<()> {
        transaction.commit().await?;
        for (log, events) in pending.told {
            self.committed.tell(CommittedBatch {
                head: log.head(),
                epoch: log.epoch.clone(),
                events: log.events(events).collect(),
                broker: log.broker,
            });
        }
        Ok(())
    }

    pub async fn conclude(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        broker: &BrokerId,
        events: Vec<NewEvent>,
    ) -> sqlx::Result<()> {
        let pending = self.append(&mut transaction, broker, events).await?;
        self.commit(transaction, pending).await
    }
}
