//! Commits groups of requests, and answers them.

use std::collections::VecDeque;

use sqlx::PgConnection;

use super::results::GroupResults;
use super::{PublishError, PublishRequest, PublishResult};
use crate::log::committer::EventCommitter;
use crate::log::idempotency;
use crate::platform::database::{is_contended, is_refusal, lacks_resources};
use crate::platform::{DedicatedConnection, Transaction};

/// How long a commit waits for its logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as the connection says: seconds.
    Usual,
    Short,
}

impl Patience {
    async fn set(self, transaction: &mut PgConnection) -> sqlx::Result<()> {
        if self == Self::Short {
            sqlx::query!("set local lock_timeout = '200ms'")
                .execute(transaction)
                .await?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct GroupCommits {
    pub(super) database: DedicatedConnection,
    pub(super) committer: EventCommitter,
    pub(super) patience: Patience,
}

/// Requests that are not answered yet, because another transaction holds one of their logs. Nothing of them is written.
#[derive(Debug)]
pub(super) struct HeldGroup {
    /// Those of each brokerage are in order.
    pub(super) requests: Vec<PublishRequest>,
    pub(super) error: sqlx::Error,
}

/// What became of a group. Nothing of it is written unless it is done, or has failed without a confirmation.
enum Outcome {
    Done(Vec<PublishResult>),
    /// Another transaction holds one of its logs.
    Held(sqlx::Error),
    /// Perhaps because of one of its requests.
    Refused,
    Failed(PublishError),
}

impl GroupCommits {
    /// Commits a group and answers it, up to the commit that meets a held log.
    ///
    /// When the database refuses a group of several requests, each of them is tried alone, so that one bad
    /// request does not fail the others.
    pub(super) async fn serve(&mut self, group: Vec<PublishRequest>) -> Result<(), HeldGroup> {
        // Nearly always one group, for which an empty queue takes no memory.
        let (mut next, mut later) = (Some(group), VecDeque::new());
        while let Some(group) = next {
            match self.commit(&group).await {
                Outcome::Done(results) => answer(group, results),
                Outcome::Held(error) => {
                    let requests = group.into_iter().chain(later.into_iter().flatten());
                    let requests = requests.collect();
                    return Err(HeldGroup { requests, error });
                }
                Outcome::Refused => later.extend(group.into_iter().map(|request| vec![request])),
                Outcome::Failed(error) => fail(group, &error),
            }
            next = later.pop_front();
        }
        Ok(())
    }

    async fn commit(&mut self, group: &[PublishRequest]) -> Outcome {
        let (committer, patience) = (&self.committer, self.patience);
        let commit = async |c: &mut PgConnection| commit(c, committer, group, patience).await;
        let error = match self.database.run(commit).await {
            Ok(results) => return Outcome::Done(results),
            Err(error) if is_contended(&error) => return Outcome::Held(error),
            Err(error) => error,
        };
        if is_refusal(&error) && group.len() > 1 {
            tracing::debug!(%error, "a group was refused; each request is tried alone");
            return Outcome::Refused;
        }
        tracing::warn!(%error, requests = group.len(), "publishing failed");
        Outcome::Failed(if lacks_resources(&error) {
            PublishError::NoResources
        } else {
            PublishError::Unconfirmed
        })
    }
}

fn answer(group: Vec<PublishRequest>, results: Vec<PublishResult>) {
    for (request, result) in group.into_iter().zip(results) {
        request.answer(result);
    }
}

pub(super) fn fail(group: Vec<PublishRequest>, error: &PublishError) {
    for request in group {
        request.answer(Err(error.clone()));
    }
}

/// Commits a group in one transaction.
async fn commit(
    connection: &mut PgConnection,
    committer: &EventCommitter,
    group: &[PublishRequest],
    patience: Patience,
) -> sqlx::Result<Vec<PublishResult>> {
    let mut results = GroupResults::unknown(group);
    let is_plain = group.iter().all(|pending| pending.request.key.is_none());
    if is_plain && patience == Patience::Usual {
        let events = results.events_to_append();
        let appended = committer.publish(connection, events).await?;
        results.assign_positions(&appended);
    } else {
        let mut transaction = Transaction::begin(connection).await?;
        patience.set(&mut transaction).await?;
        results.find_repeats(&mut transaction).await?;
        let events = results.events_to_append();
        let pending = committer.append_posted(&mut transaction, events).await?;
        results.assign_positions(&pending.logs());
        idempotency::keep(&mut transaction, &results.key_answers()).await?;
        committer.commit(transaction, pending).await?;
    }
    Ok(results.into_results())
}
