//! The worker that is built in: claims tasks of the types it has a handler for, of any broker,
//! a few at a time.
//!
//! Each runs by itself: one that panics has failed, and takes nothing with it. When the worker
//! is stopped, handlers end where they can go on later, and their tasks are given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::platform::Dice;
use crate::platform::Limit;
use crate::platform::TaskType;
use crate::platform::database::limited;
use crate::tasks::{ClaimRequest, Claimed, LeaseClaim, TaskError, Tasks};

mod ending;
mod handler;

pub use handler::{End, Handler, Job, fault};

/// How often an idle worker looks for tasks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// And how long it leaves a database alone that does not answer.
const REST: Duration = Duration::from_secs(2);
/// Seconds of a lease, where the rules allow them.
const LEASE_SECONDS: u32 = 10;
/// Letters of a worker's name.
const NAME_LEN: usize = 12;

pub struct WorkerParts {
    pub tasks: Tasks,
    pub handlers: Vec<Box<dyn Handler>>,
    /// How many it does at a time.
    pub most: usize,
    pub dice: Dice,
    pub stop: CancellationToken,
}

pub struct Worker {
    tasks: Tasks,
    handlers: HashMap<TaskType, Arc<dyn Handler>>,
    wanted: ClaimRequest,
    most: usize,
    dice: Dice,
    stop: CancellationToken,
}

/// The jobs at work, and by which task of the runtime.
type AtWork = (JoinSet<End>, HashMap<Id, LeaseClaim>);

impl Worker {
    /// A worker that does what there are handlers for.
    #[must_use]
    pub fn new(parts: WorkerParts) -> Self {
        let named = |handler: Box<dyn Handler>| (handler.task_type(), Arc::from(handler));
        let handlers: HashMap<_, _> = parts.handlers.into_iter().map(named).collect();
        let leases = &parts.tasks.rules().lease_seconds;
        let lease_seconds = LEASE_SECONDS.clamp(*leases.start(), *leases.end());
        let name = format!("porchlight:{}", parts.dice.tag(NAME_LEN));
        let wanted = ClaimRequest {
            worker: name.parse().expect("a tag is part of a name"),
            types: handlers.keys().cloned().collect(),
            lease_seconds,
        };
        Self {
            tasks: parts.tasks,
            handlers,
            wanted,
            most: parts.most,
            dice: parts.dice,
            stop: parts.stop,
        }
    }

    /// Works until it is stopped, and ends what it has begun.
    pub async fn run(self) {
        let mut at_work = AtWork::default();
        while !self.stop.is_cancelled() {
            let pause = match self.begin(&mut at_work).await {
                Ok(()) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "the worker cannot claim tasks");
                    REST
                }
            };
            // Many workers do not look at the same moment.
            let pause = self.dice.between(pause, pause + pause / 4);
            let (jobs, _) = &mut at_work;
            let ended = tokio::select! {
                () = self.stop.cancelled() => break,
                Some(ended) = jobs.join_next_with_id() => ended,
                () = tokio::time::sleep(pause) => continue,
            };
            self.ended(&mut at_work, ended).await;
        }
        while let Some(ended) = at_work.0.join_next_with_id().await {
            self.ended(&mut at_work, ended).await;
        }
    }

    /// Claims as many tasks as there are, and room for.
    async fn begin(&self, at_work: &mut AtWork) -> Result<(), TaskError> {
        while at_work.0.len() < self.most {
            let claim = self.tasks.claim_anywhere(&self.wanted);
            let Some(claimed) = limited(Limit::REQUEST, claim).await? else {
                break;
            };
            let Some(handler) = self.handlers.get(claimed.task.task_type()) else {
                break;
            };
            let job = self.job(&claimed).await?;
            let holding = job.holding.clone();
            tracing::info!(broker = %holding.broker, task = %holding.task, "a task has begun");
            let handler = Arc::clone(handler);
            let running = async move { handler.run(job).await };
            let id = at_work.0.spawn(running).id();
            at_work.1.insert(id, holding);
        }
        Ok(())
    }

    async fn job(&self, claimed: &Claimed) -> Result<Job, TaskError> {
        let holding = LeaseClaim {
            broker: claimed.broker.clone(),
            task: claimed.task.id().clone(),
            worker: self.wanted.worker.clone(),
            fence: claimed.fence,
        };
        Ok(Job {
            holding,
            caller: limited(Limit::REQUEST, self.tasks.on_behalf(claimed)).await?,
            params: claimed.task.params().map(ToOwned::to_owned),
            stop: self.stop.clone(),
        })
    }

    async fn ended(&self, at_work: &mut AtWork, ended: Result<(Id, End), JoinError>) {
        let (id, end) = match ended {
            Ok((id, end)) => (id, end),
            // The message of a panic may have a value in it, and stays in the log of panics.
            Err(error) => (error.id(), ending::panicked()),
        };
        if let Some(holding) = at_work.1.remove(&id) {
            ending::settle(&self.tasks, &holding, end).await;
        }
    }
}
