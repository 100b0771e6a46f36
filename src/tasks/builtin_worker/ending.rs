//! Ends the task of a job that has ended.

use std::time::Duration;

use super::{JobEnd, fault};
use crate::platform::Limit;
use crate::platform::database::limited;
use crate::tasks::{LeaseClaim, TaskError, TaskOutcome, Tasks};

/// How often it is tried. Then the lease runs out, and the task has another attempt.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

pub(super) fn panicked() -> JobEnd {
    let sentence = "The worker failed unexpectedly. The log of the service has the details.";
    JobEnd::With(TaskOutcome::Failed(fault("worker_failed", sentence, false)))
}

pub(super) async fn settle(tasks: &Tasks, lease: &LeaseClaim, end: JobEnd) {
    let (broker, task) = (&lease.broker, &lease.task);
    let (outcome, cleanup) = match end {
        JobEnd::With(outcome) => (outcome, None),
        JobEnd::WithCleanup(outcome, cleanup) => (outcome, Some(cleanup)),
        JobEnd::Interrupted => {
            let sentence = "The worker was stopped. Another one goes on.";
            let why = fault("worker_stopped", sentence, true);
            (TaskOutcome::Released(why), None)
        }
        JobEnd::Lost => {
            tracing::info!(%broker, %task, "the lease of a task was lost");
            return;
        }
    };
    if store(tasks, lease, &outcome).await
        && let Some(cleanup) = cleanup
    {
        cleanup.run().await;
    }
}

/// Whether the outcome is stored.
async fn store(tasks: &Tasks, lease: &LeaseClaim, outcome: &TaskOutcome) -> bool {
    let (broker, task) = (&lease.broker, &lease.task);
    for _ in 0..TRIES {
        let finish = tasks.finish(lease, outcome.clone());
        match limited(Limit::REQUEST, finish).await {
            Ok(ended) => {
                tracing::info!(%broker, %task, state = %ended.state, "a task was ended");
                return true;
            }
            Err(TaskError::Busy | TaskError::Database(_)) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                tracing::info!(%broker, %task, %error, "a task could not be ended");
                return false;
            }
        }
    }
    tracing::warn!(%broker, %task, "a task could not be ended; it will have another attempt");
    false
}
