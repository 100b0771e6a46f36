//! Working: the worker that is built in, beside the service or in a process of its own.

use std::sync::Arc;

use super::prepare::prepare;
use super::tasks_service::TaskTelling;
use super::wire::{Ground, INSTANCE_LEN, size};
use super::{AppError, Environment};
use crate::config::Config;
use crate::log::EventCommitter;
use crate::log::RelayWaker;
use crate::log::peers::notify;
use crate::log::{ChangeHints, CommitNotifier, PeerNotifier, TaskNotices};
use crate::platform::BackgroundTasks;
use crate::platform::Metrics;
use crate::platform::{Database, DedicatedConnection};
use crate::records::Records;
use crate::tasks::Tasks;
use crate::tasks::Uploads;
use crate::tasks::{ImportCheck, Importer};
use crate::tasks::{Worker, WorkerParts};

impl Ground<'_> {
    /// What is worked with, and the worker at it, if there is to be one here.
    pub(super) fn work_place(
        &self,
        pending: TaskTelling,
        waker: RelayWaker,
    ) -> (Tasks, Arc<Records>, Uploads) {
        let (records, uploads) = (Arc::new(self.records(waker)), self.uploads());
        let check = ImportCheck {
            records: Arc::clone(&records),
            uploads: uploads.clone(),
        };
        let tasks = self.tasks_service(pending).checking(vec![Box::new(check)]);
        if self.config.has_worker() {
            self.worker(&tasks, (&records, &uploads));
        }
        (tasks, records, uploads)
    }

    fn uploads(&self) -> Uploads {
        let rules = self.config.worker.uploads();
        Uploads::new(
            self.database.pool.clone(),
            self.environment.dice.clone(),
            rules,
        )
    }

    /// Starts the worker, with a handler for each type of task that is built in.
    fn worker(&self, tasks: &Tasks, (records, uploads): (&Arc<Records>, &Uploads)) {
        let importer = Importer {
            pool: self.database.pool.clone(),
            records: Arc::clone(records),
            uploads: uploads.clone(),
            tasks: tasks.clone(),
        };
        let worker = Worker::new(WorkerParts {
            tasks: tasks.clone(),
            handlers: vec![Box::new(importer)],
            most: size(self.config.worker.worker_tasks),
            dice: self.environment.dice.clone(),
            stop: self.tasks.stop_last(),
        });
        self.tasks.spawn("the worker", worker.run());
    }

    /// What a worker needs that has no service around it: instances hear what it commits, and
    /// one of them relays what its tables tell.
    fn work(&self) {
        let elsewhere = PeerNotifier::default();
        let (notifier, _) = CommitNotifier::new(ChangeHints::default(), elsewhere.clone());
        let dice = &self.environment.dice;
        let committer = EventCommitter::new(dice.clone(), notifier);
        let notices = TaskNotices::with(&elsewhere);
        let tasks = self.tasks_service(TaskTelling::new(committer, notices, &Metrics::new()));
        let announcing = notify::run(
            DedicatedConnection::new(self.database.core.clone()),
            elsewhere,
            self.tasks.instance().to_string(),
            self.tasks.stop_last(),
        );
        self.tasks.spawn("the announcer", announcing);
        let records = Arc::new(self.records(RelayWaker::default()));
        self.worker(&tasks, (&records, &self.uploads()));
    }
}

/// A worker that is ready to run, without a service.
pub struct WorkerApplication {
    database: Database,
    tasks: BackgroundTasks,
}

impl WorkerApplication {
    /// Opens the database and begins to work.
    pub async fn build(config: &Config, environment: &Environment) -> Result<Self, AppError> {
        let database = Database::open(&config.database).await?;
        prepare(&database).await?;
        let tasks = BackgroundTasks::new(environment.dice.tag(INSTANCE_LEN));
        let ground = Ground {
            config,
            environment,
            database: &database,
            tasks: &tasks,
        };
        ground.work();
        tracing::info!("the worker is at work");
        Ok(Self { database, tasks })
    }

    /// Works until `stop` is done; then tasks that are not finished are given back.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        let outcome = tokio::select! {
            ended = self.tasks.unexpected_end() => Err(AppError::PartEnded(ended)),
            () = self.database.gave_up() => Err(AppError::PartEnded("the embedded database")),
            () = stop => Ok(()),
        };
        tracing::info!("stopping");
        self.tasks.stop().await;
        self.database.close().await;
        tracing::info!("stopped");
        outcome
    }
}
