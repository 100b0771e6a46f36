//! The built-in worker: claims tasks of all brokerages for the types that it has handlers for.
//!
//! It runs a limited number of jobs at a time. A job that panics fails alone. When the worker stops,
//! handlers end where another worker can go on, and their tasks are released.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::platform::Limit;
use crate::platform::TaskType;
use crate::platform::database::limited;
use crate::platform::{Dice, InstanceCount};
use crate::tasks::{ClaimRequest, Claimed, LeaseClaim, TaskError, Tasks};

mod ending;
mod handler;

pub use handler::{Cleanup, Handler, Job, JobEnd, fault};

/// How often a worker tries to claim. While nothing is committed, and no other instance is there, it rests.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long it waits when the database does not answer.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// Seconds of a lease, if the rules allow them.
const LEASE_SECONDS: u32 = 10;
/// Random characters in the name of a worker.
const NAME_LEN: usize = 12;

pub struct WorkerParts {
    pub tasks: Tasks,
    pub handlers: Vec<Box<dyn Handler>>,
    /// The most jobs at a time.
    pub most: usize,
    pub instances: InstanceCount,
    pub dice: Dice,
    pub stop: CancellationToken,
}

pub struct Worker {
    tasks: Tasks,
    handlers: HashMap<TaskType, Arc<dyn Handler>>,
    claim: ClaimRequest,
    most: usize,
    instances: InstanceCount,
    dice: Dice,
    stop: CancellationToken,
}

/// The jobs that run, and their leases by the id of the runtime's task.
#[derive(Default)]
struct RunningJobs {
    jobs: JoinSet<JobEnd>,
    leases: HashMap<Id, LeaseClaim>,
}

impl Worker {
    #[must_use]
    pub fn new(parts: WorkerParts) -> Self {
        let named = |handler: Box<dyn Handler>| (handler.task_type(), Arc::from(handler));
        let handlers: HashMap<_, _> = parts.handlers.into_iter().map(named).collect();
        let leases = &parts.tasks.rules().lease_seconds;
        let lease_seconds = LEASE_SECONDS.clamp(*leases.start(), *leases.end());
        let name = format!("porchlight:{}", parts.dice.tag(NAME_LEN));
        let claim = ClaimRequest {
            worker: name.parse().expect("a tag is part of a valid name"),
            types: handlers.keys().cloned().collect(),
            lease_seconds,
        };
        Self {
            tasks: parts.tasks,
            handlers,
            claim,
            most: parts.most,
            instances: parts.instances,
            dice: parts.dice,
            stop: parts.stop,
        }
    }

    /// Works until it is stopped, and then waits for its jobs.
    pub async fn run(self) {
        let mut running = RunningJobs::default();
        let mut rest = self.instances.rest();
        while !self.stop.is_cancelled() {
            let (pause, longest) = match self.begin(&mut running).await {
                Ok(()) => (POLL_INTERVAL, Duration::MAX),
                Err(error) => {
                    tracing::warn!(%error, "the worker cannot claim tasks");
                    (RETRY_DELAY, RETRY_DELAY)
                }
            };
            // Workers must not all claim at the same moment.
            let pause = self.dice.between(pause, pause + pause / 4);
            let ended = tokio::select! {
                () = self.stop.cancelled() => break,
                Some(ended) = running.jobs.join_next_with_id() => ended,
                () = rest.pause(pause, longest) => continue,
            };
            self.ended(&mut running, ended).await;
        }
        while let Some(ended) = running.jobs.join_next_with_id().await {
            self.ended(&mut running, ended).await;
        }
    }

    /// Claims tasks until there are none, or until enough jobs run.
    async fn begin(&self, running: &mut RunningJobs) -> Result<(), TaskError> {
        while running.jobs.len() < self.most {
            let claim = self.tasks.claim_anywhere(&self.claim);
            let Some(claimed) = limited(Limit::REQUEST, claim).await? else {
                break;
            };
            let Some(handler) = self.handlers.get(claimed.task.task_type()) else {
                break;
            };
            let job = self.job(&claimed).await?;
            let lease = job.lease.clone();
            tracing::info!(broker = %lease.broker, task = %lease.task, "a task has begun");
            let handler = Arc::clone(handler);
            let job = async move { handler.run(job).await };
            let id = running.jobs.spawn(job).id();
            running.leases.insert(id, lease);
        }
        Ok(())
    }

    async fn job(&self, claimed: &Claimed) -> Result<Job, TaskError> {
        let lease = LeaseClaim {
            broker: claimed.broker.clone(),
            task: claimed.task.id().clone(),
            worker: self.claim.worker.clone(),
            fence: claimed.fence,
        };
        Ok(Job {
            lease,
            caller: limited(Limit::REQUEST, self.tasks.requester(claimed)).await?,
            params: claimed.task.params().map(ToOwned::to_owned),
            stop: self.stop.clone(),
        })
    }

    async fn ended(&self, running: &mut RunningJobs, ended: Result<(Id, JobEnd), JoinError>) {
        let (id, end) = match ended {
            Ok((id, end)) => (id, end),
            // The message of a panic may contain data, so only the log of panics has it.
            Err(error) => (error.id(), ending::panicked()),
        };
        if let Some(lease) = running.leases.remove(&id) {
            ending::settle(&self.tasks, &lease, end).await;
        }
    }
}
