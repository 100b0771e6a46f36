//! The end of a job: its task is told how it went.

use std::time::Duration;

use super::{End, fault};
use crate::platform::Limit;
use crate::platform::database::limited;
use crate::tasks::{LeaseClaim, Outcome, TaskError, Tasks};

/// How often it is tried; after that the lease runs out, and the task is begun again.
const TRIES: u32 = 3;
/// And what is waited for in between.
const PAUSE: Duration = Duration::from_millis(300);

/// A job that ended with a panic.
pub(super) fn panicked() -> End {
    let sentence = "The worker came to something that it cannot do. The log of the service says \
                    more.";
    End::With(Outcome::Failed(fault("worker_failed", sentence, false)))
}

/// Ends the task as its job has ended.
pub(super) async fn settle(tasks: &Tasks, holding: &LeaseClaim, end: End) {
    let (broker, task) = (&holding.broker, &holding.task);
    for _ in 0..TRIES {
        let settled = match &end {
            End::Lost => {
                tracing::info!(%broker, %task, "a task was lost to another worker, or is over");
                return;
            }
            End::With(outcome) => {
                let finish = tasks.finish(holding, outcome.clone());
                limited(Limit::REQUEST, finish).await
            }
            End::Interrupted => {
                let sentence = "The worker was stopped; another one goes on.";
                let why = fault("worker_stopped", sentence, true);
                limited(Limit::REQUEST, tasks.give_back(holding, why)).await
            }
        };
        match settled {
            Ok(state) => {
                tracing::info!(%broker, %task, %state, "a task was ended");
                return;
            }
            Err(TaskError::Busy | TaskError::Database(_)) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                tracing::info!(%broker, %task, %error, "a task could not be ended");
                return;
            }
        }
    }
    tracing::warn!(%broker, %task, "a task could not be ended; it is begun again");
}
