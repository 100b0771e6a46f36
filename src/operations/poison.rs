//! Rows of the outbox that were set aside, for the admins of their brokerage.

use super::Operations;
use crate::identity::Caller;
use crate::log::poison::{self, PoisonCounts, PoisonRetry, PoisonRow};
use crate::platform::BrokerId;

#[derive(Debug, thiserror::Error)]
pub enum SetAsideError {
    #[error(
        "no row of your brokerage with this id is set aside; it may have been retried or discarded"
    )]
    Unknown,
    #[error(
        "the change could not be described when it was written, so the row has no event; correct the \
         cause that the reason names, and discard the row"
    )]
    CannotRetry,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

#[derive(Debug)]
pub struct PoisonList {
    pub rows: Vec<PoisonRow>,
    pub counts: PoisonCounts,
    /// The next page begins before this number.
    pub next: Option<i64>,
}

impl Operations {
    /// A page of the rows, from new to old.
    pub async fn set_aside(
        &self,
        broker: &BrokerId,
        before: Option<i64>,
        limit: i64,
    ) -> Result<PoisonList, SetAsideError> {
        let mut connection = self.0.parts.pool.acquire().await?;
        // Rows that are set aside meanwhile are on the page, and not counted yet.
        let counts = poison::count(&mut connection, broker).await?;
        let rows = poison::list(&mut connection, broker, before, limit).await?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
        let next = rows.last().map(|row| row.number).filter(|_| is_full);
        Ok(PoisonList { rows, counts, next })
    }

    /// Puts a row back into the outbox.
    pub async fn retry_set_aside(&self, caller: &Caller, number: i64) -> Result<(), SetAsideError> {
        let (broker, by) = (&caller.broker, &caller.user);
        let mut connection = self.0.parts.pool.acquire().await?;
        match poison::retry(&mut connection, broker, number).await? {
            PoisonRetry::Back => {
                self.0.parts.waker.wake();
                tracing::info!(%broker, %by, number, "an admin retries a change that was set aside");
                Ok(())
            }
            PoisonRetry::Impossible => Err(SetAsideError::CannotRetry),
            PoisonRetry::Unknown => Err(SetAsideError::Unknown),
        }
    }

    pub async fn discard_set_aside(
        &self,
        caller: &Caller,
        number: i64,
    ) -> Result<(), SetAsideError> {
        let (broker, by) = (&caller.broker, &caller.user);
        let mut connection = self.0.parts.pool.acquire().await?;
        let was_there = poison::discard(&mut connection, broker, number).await?;
        if !was_there {
            return Err(SetAsideError::Unknown);
        }
        tracing::info!(%broker, %by, number, "an admin has discarded a change that was set aside");
        Ok(())
    }
}
