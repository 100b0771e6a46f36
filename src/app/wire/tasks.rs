//! Tasks, records, uploads, and the built-in worker.

use std::sync::Arc;

use super::backplane::Notices;
use super::{Wiring, size};
use crate::log::{ChangeHints, CommitNotifier, EventCommitter, RelayWaker, TaskNotices};
use crate::platform::{BackgroundTask, DedicatedConnection};
use crate::records::Records;
use crate::tasks::sweeper::TaskSweeper;
use crate::tasks::{
    ImportCheck, Importer, OutputLoaderParts, OutputReads, ProgressWriterParts, Reports, TaskParts,
    Tasks, Uploads, Worker, WorkerParts,
};

impl Wiring<'_> {
    pub(super) fn records(&self, waker: RelayWaker) -> Records {
        let pool = self.database.pool.clone();
        let records = Records::new(pool, self.modules(), self.dice(), waker);
        let records = records.watched_by(&self.metrics.permits);
        records.with_ids(self.config.records.record_ids)
    }

    pub(super) fn uploads(&self) -> Uploads {
        let limits = self.config.worker.uploads(&self.config.quotas);
        let uploads = Uploads::new(self.database.pool.clone(), self.dice(), limits);
        uploads.watched_by(&self.metrics.permits)
    }

    /// Tasks whose parameters are checked when they are created.
    pub(super) fn checked_tasks(
        &self,
        committer: EventCommitter,
        notices: TaskNotices,
        records: &Arc<Records>,
        uploads: &Uploads,
    ) -> Tasks {
        let check = ImportCheck {
            records: Arc::clone(records),
            uploads: uploads.clone(),
        };
        let tasks = self.background_of_tasks(committer, notices);
        tasks.checking(vec![Box::new(check)])
    }

    /// The progress writer, the output loader and the sweeper, and the handle of requests.
    fn background_of_tasks(&self, committer: EventCommitter, notices: TaskNotices) -> Tasks {
        let (reports, task) = Reports::start(ProgressWriterParts {
            database: self.connection("progress"),
            queues: self.metrics.queues.clone(),
            committer: committer.clone(),
            stop: self.stop(),
        });
        self.tasks.spawn(task);
        let parts = TaskParts {
            pool: self.database.pool.clone(),
            output_reads: self.output_reads(&notices),
            committer,
            reports,
            rules: self.config.tasks.rules(self.request_limits().event_bytes),
            notices,
        };
        let sweeper = TaskSweeper {
            database: DedicatedConnection::new(self.database.core.clone()),
            tasks: Tasks::new(TaskParts {
                pool: self.database.core.clone(),
                ..parts.clone()
            }),
            instances: self.instances.clone(),
            dice: self.dice(),
            meter: self.metrics.loops.meter("task_sweeper"),
            stop: self.stop(),
        };
        self.tasks
            .spawn(BackgroundTask::new("the sweeper of tasks", sweeper.run()));
        Tasks::new(parts)
    }

    fn output_reads(&self, notices: &TaskNotices) -> OutputReads {
        let (reads, task) = OutputReads::start(OutputLoaderParts {
            database: self.connection("output"),
            hints: notices.here.clone(),
            poll: self.config.database.poll(),
            metrics: Arc::clone(&self.metrics),
            stop: self.stop(),
        });
        self.tasks.spawn(task);
        reads
    }

    /// The worker in the process of the service, unless it is switched off.
    pub(super) fn worker_beside(&self, tasks: &Tasks, records: &Arc<Records>, uploads: &Uploads) {
        if self.config.has_worker() {
            self.worker(tasks, records, uploads);
        }
    }

    /// The worker, with a handler for each built-in type of task.
    fn worker(&self, tasks: &Tasks, records: &Arc<Records>, uploads: &Uploads) {
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
            instances: self.instances.clone(),
            dice: self.dice(),
            stop: self.stop(),
        });
        self.tasks
            .spawn(BackgroundTask::new("the worker", worker.run()));
    }

    /// What a worker needs without a service: the instances learn of its commits, and one of them
    /// relays the changes of its records.
    pub(in crate::app) fn worker_alone(&self) {
        let notices = Notices::of(&self.config.backplane);
        let (commits, _) = CommitNotifier::new(
            ChangeHints::default(),
            notices.peers.clone(),
            &self.metrics.queues,
        );
        let committer = EventCommitter::new(self.dice(), commits);
        let tasks = self.background_of_tasks(committer, notices.tasks.clone());
        self.peer_notifier(&notices);
        let records = Arc::new(self.records(RelayWaker::default()));
        self.worker(&tasks, &records, &self.uploads());
    }
}
