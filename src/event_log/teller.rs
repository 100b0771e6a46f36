//! The end of a change: the log is appended to, the change is committed, and told.

use sqlx::{Postgres, Transaction};

use super::{Appended, Batch, append};
use crate::clock::Dice;
use crate::event::NewEvent;
use crate::hints::{Committed, CommittedBatch};
use crate::ids::BrokerId;

/// Commits changes and tells of them.
#[derive(Clone, Debug)]
pub struct Teller {
    dice: Dice,
    committed: Committed,
}

/// What a transaction has appended, and tells once it is committed.
#[derive(Debug)]
pub struct Telling {
    logs: Vec<Appended>,
    events: Vec<NewEvent>,
}

impl Telling {
    /// The log that was appended to, if anything was.
    #[must_use]
    pub fn log(&self) -> Option<&Appended> {
        self.logs.first()
    }
}

impl Teller {
    /// One who tells as `committed` does.
    #[must_use]
    pub fn new(dice: Dice, committed: Committed) -> Self {
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
    ) -> sqlx::Result<Telling> {
        let mut logs = Vec::new();
        if !events.is_empty() {
            let batch = Batch {
                broker,
                events: events.iter().collect(),
            };
            logs = append(transaction, &self.dice, &[batch]).await?;
        }
        Ok(Telling { logs, events })
    }

    /// Commits, and tells of what was appended.
    pub async fn commit(
        &self,
        transaction: Transaction<'_, Postgres>,
        telling: Telling,
    ) -> sqlx::Result<()> {
        transaction.commit().await?;
        let Telling { logs, events } = telling;
        for log in logs {
            self.committed.tell(CommittedBatch {
                head: log.head(),
                epoch: log.epoch.clone(),
                events: log.events(events.iter().cloned()).collect(),
                broker: log.broker,
            });
        }
        Ok(())
    }

    /// Appends, commits and tells.
    pub async fn conclude(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        broker: &BrokerId,
        events: Vec<NewEvent>,
    ) -> sqlx::Result<()> {
        let telling = self.append(&mut transaction, broker, events).await?;
        self.commit(transaction, telling).await
    }
}
