//! Working: the worker that is built in, beside the service or in a process of its own.

use std::sync::Arc;

use super::task_book::TaskTelling;
use super::wire::{Ground, INSTANCE_LEN, size};
use super::{AppError, Surroundings};
use crate::config::Config;
use crate::crm::Crm;
use crate::database::{Database, DedicatedConnection};
use crate::event_log::Teller;
use crate::hints::{Committed, HintBoard, Megaphone, TaskNotices};
use crate::imports::{ImportCheck, Importer};
use crate::instances::announce;
use crate::lifecycle::Tasks;
use crate::metrics::Metrics;
use crate::relay::Bell;
use crate::tasks::TaskBook;
use crate::uploads::Uploads;
use crate::worker::{Worker, WorkerParts};

impl Ground<'_> {
    /// What is worked with, and the worker at it, if there is to be one here.
    pub(super) fn work_place(
        &self,
        telling: TaskTelling,
        bell: Bell,
    ) -> (TaskBook, Arc<Crm>, Uploads) {
        let (crm, uploads) = (Arc::new(self.crm(bell)), self.uploads());
        let check = ImportCheck {
            crm: Arc::clone(&crm),
            uploads: uploads.clone(),
        };
        let tasks = self.task_book(telling).checking(vec![Box::new(check)]);
        if self.config.has_worker() {
            self.worker(&tasks, (&crm, &uploads));
        }
        (tasks, crm, uploads)
    }

    fn uploads(&self) -> Uploads {
        let rules = self.config.worker.uploads();
        Uploads::new(self.database.pool.clone(), self.around.dice.clone(), rules)
    }

    /// Starts the worker, with a handler for each type of task that is built in.
    fn worker(&self, tasks: &TaskBook, (crm, uploads): (&Arc<Crm>, &Uploads)) {
        let importer = Importer {
            pool: self.database.pool.clone(),
            crm: Arc::clone(crm),
            uploads: uploads.clone(),
            tasks: tasks.clone(),
        };
        let worker = Worker::new(WorkerParts {
            tasks: tasks.clone(),
            handlers: vec![Box::new(importer)],
            most: size(self.config.worker.worker_tasks),
            dice: self.around.dice.clone(),
            stop: self.tasks.stop_last(),
        });
        self.tasks.spawn("the worker", worker.run());
    }

    /// What a worker needs that has no service around it: instances hear what it commits, and
    /// one of them relays what its tables tell.
    fn work(&self) {
        let elsewhere = Megaphone::default();
        let (committed, _) = Committed::new(HintBoard::default(), elsewhere.clone());
        let dice = &self.around.dice;
        let teller = Teller::new(dice.clone(), committed);
        let notices = TaskNotices::with(&elsewhere);
        let tasks = self.task_book(TaskTelling::new(teller, notices, &Metrics::new()));
        let announcing = announce::run(
            DedicatedConnection::new(self.database.core.clone()),
            elsewhere,
            dice.tag(INSTANCE_LEN),
            self.tasks.stop_last(),
        );
        self.tasks.spawn("the announcer", announcing);
        let crm = Arc::new(self.crm(Bell::default()));
        self.worker(&tasks, (&crm, &self.uploads()));
    }
}

/// A worker that is ready to run, without a service.
pub struct WorkerApplication {
    database: Database,
    tasks: Tasks,
}

impl WorkerApplication {
    /// Opens the database and begins to work.
    pub async fn build(config: &Config, around: &Surroundings) -> Result<Self, AppError> {
        let database = Database::open(&config.database).await?;
        database.migrate().await?;
        let tasks = Tasks::default();
        let ground = Ground {
            config,
            around,
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
