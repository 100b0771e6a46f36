//! Unpacks a bulk change, or gives it up.

use sqlx::PgConnection;

use super::{Relay, outbox};
use crate::platform::database::{is_cancelled, is_refusal};
use crate::platform::{Limit, Transaction};

/// Tries that may end without an answer, for example because the server goes down each time.
const MOST_UNANSWERED: u32 = 3;

/// The bulk change that was tried last.
#[derive(Debug, Default)]
pub(super) struct BulkTries {
    id: i64,
    /// Tries that have ended without an answer.
    unanswered: u32,
}

impl BulkTries {
    fn begin(&mut self, id: i64) {
        if self.id != id {
            *self = Self { id, unanswered: 0 };
        }
    }

    /// The first try ends early when other connections have become silent: its own may be dead, too. But unpacking may
    /// itself be what makes others wait for too long, so that the next try has all the time.
    fn limit(&self) -> Limit {
        match self.unanswered {
            0 => Limit::LONG_STATEMENT,
            _ => Limit::LONG_STATEMENT.undisturbed(),
        }
    }
}

impl Relay {
    /// A bulk change that cannot be unpacked is set aside, and all clients get a reset: otherwise it would stop
    /// everything that comes after it, for ever.
    pub(super) async fn unpack(&mut self, id: i64, tries: &mut BulkTries) -> sqlx::Result<()> {
        tries.begin(id);
        if tries.unanswered >= MOST_UNANSWERED {
            let reason = format!("the database gave no answer, {MOST_UNANSWERED} times");
            return self.give_up(id, &reason).await;
        }
        let (limit, before) = (tries.limit(), tries.unanswered);
        let unpack = async |c: &mut PgConnection| unpack(c, tries).await;
        let unpacked = tokio::select! {
            () = self.stop.cancelled() => return Ok(()),
            unpacked = self.database.run_within(limit, unpack) => unpacked,
        };
        if unpacked.as_ref().err().is_none_or(is_refusal) {
            tries.unanswered = before;
        }
        match unpacked {
            Err(error) if is_cancelled(&error) => self.give_up(id, &error.to_string()).await,
            unpacked => unpacked,
        }
    }

    async fn give_up(&mut self, id: i64, reason: &str) -> sqlx::Result<()> {
        tracing::warn!(
            id,
            reason,
            "a bulk change could not be described and is set aside"
        );
        let give_up = async |c: &mut PgConnection| give_up(c, id, reason).await;
        let limit = Limit::LONG_STATEMENT;
        self.database.run_within(limit, give_up).await
    }
}

/// A transaction of its own: the rows stay unpacked, whatever happens to them later.
async fn unpack(connection: &mut PgConnection, tries: &mut BulkTries) -> sqlx::Result<()> {
    let mut transaction = Transaction::begin(connection).await?;
    if outbox::is_mine(&mut transaction).await? {
        // Until there is an answer. A database that cannot be reached is no try.
        tries.unanswered += 1;
        outbox::unpack(&mut transaction, tries.id).await?;
    }
    transaction.commit().await
}

async fn give_up(connection: &mut PgConnection, id: i64, reason: &str) -> sqlx::Result<()> {
    let mut transaction = Transaction::begin(connection).await?;
    if outbox::is_mine(&mut transaction).await? {
        outbox::give_up_bulk_change(&mut transaction, id, reason).await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_try_of_a_bulk_change_ends_early_when_others_are_silent() {
        let mut tries = BulkTries::default();
        tries.begin(7);
        assert!(tries.limit().suspect < tries.limit().longest);
        tries.unanswered = 1;
        tries.begin(7);
        assert_eq!(tries.limit().suspect, tries.limit().longest);
        tries.begin(8);
        assert!(tries.limit().suspect < tries.limit().longest);
    }
}
