//! The end of every change: the log is appended to, the change is committed, and told.

use sqlx::{Postgres, Transaction};

use super::LockError;
use crate::clock::Dice;
use crate::event::{Audience, NewEvent};
use crate::event_log::{Appended, Batch, append, records};
use crate::hints::{Committed, CommittedBatch};
use crate::ids::{BrokerId, RecordPath};

/// Commits changes and tells of them.
#[derive(Clone, Debug)]
pub struct Teller {
    dice: Dice,
    committed: Committed,
}

/// What a transaction is about to tell.
pub(super) struct Telling<'a> {
    /// In whose log.
    pub(super) broker: &'a BrokerId,
    /// In order; possibly nothing.
    pub(super) events: Vec<NewEvent>,
    /// Who may still have to be right about who sees this record.
    pub(super) shown: Option<(&'a RecordPath, &'a Audience)>,
}

impl Teller {
    /// One who tells as `committed` does.
    #[must_use]
    pub fn new(dice: Dice, committed: Committed) -> Self {
        Self { dice, committed }
    }

    /// For names of new logs.
    pub(super) fn dice(&self) -> &Dice {
        &self.dice
    }

    /// Appends, commits and tells.
    pub(super) async fn commit(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        telling: Telling<'_>,
    ) -> Result<(), LockError> {
        let Telling {
            broker,
            events,
            shown,
        } = telling;
        if events.is_empty() {
            return Ok(transaction.commit().await?);
        }
        let batch = Batch {
            broker,
            events: events.iter().collect(),
        };
        let appended = append(&mut transaction, &self.dice, &[batch]).await?;
        for log in &appended {
            is_still_shown(&mut transaction, log, shown).await?;
        }
        transaction.commit().await?;
        for log in appended {
            self.committed.tell(CommittedBatch {
                head: log.head(),
                epoch: log.epoch.clone(),
                events: log.events(events.iter().cloned()).collect(),
                broker: log.broker,
            });
        }
        Ok(())
    }
}

/// The log is ours now: a record that was told to others since we looked is not told to
/// those who saw it before, who would pass for its audience from then on.
async fn is_still_shown(
    transaction: &mut Transaction<'_, Postgres>,
    log: &Appended,
    shown: Option<(&RecordPath, &Audience)>,
) -> Result<(), LockError> {
    let Some((record, audience)) = shown else {
        return Ok(());
    };
    let now = records::audience_before(transaction, &log.broker, record, log.first).await?;
    if now.unwrap_or(Audience::Broker) == *audience {
        Ok(())
    } else {
        Err(LockError::Busy)
    }
}
