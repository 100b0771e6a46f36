//! The parts of tasks: their book, and the background work on them.

use std::sync::Arc;

use super::wire::Ground;
use crate::log::EventCommitter;
use crate::log::TaskNotices;
use crate::platform::DedicatedConnection;
use crate::platform::Metrics;
use crate::tasks;
use crate::tasks::Tasks;
use crate::tasks::{OutputLoaderParts, OutputReads};

/// How changes of tasks are told.
pub(super) struct TaskTelling {
    pub(super) committer: EventCommitter,
    pub(super) notices: TaskNotices,
    pub(super) metrics: Arc<Metrics>,
}

impl TaskTelling {
    pub(super) fn new(
        committer: EventCommitter,
        notices: TaskNotices,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let metrics = Arc::clone(metrics);
        Self {
            committer,
            notices,
            metrics,
        }
    }
}

impl Ground<'_> {
    /// Requests change tasks, the keeper takes reports on them, a task reads output for streams,
    /// and another one ends what is over.
    pub(super) fn tasks_service(&self, pending: TaskTelling) -> Tasks {
        let parts = tasks::ProgressWriterParts {
            database: DedicatedConnection::new(self.database.core.clone()),
            committer: pending.committer.clone(),
            stop: self.tasks.stop_last(),
        };
        let (reports, keeping) = tasks::Reports::new(parts);
        self.tasks.spawn("the keeper of tasks", keeping);
        let parts = tasks::TaskParts {
            pool: self.database.pool.clone(),
            output_reads: self.output_reads(&pending),
            committer: pending.committer,
            reports,
            rules: self.config.tasks.rules(self.limits().event_bytes),
            notices: pending.notices,
        };
        let sweeper = tasks::sweeper::TaskSweeper {
            tasks: Tasks::new(tasks::TaskParts {
                pool: self.database.core.clone(),
                ..parts.clone()
            }),
            dice: self.environment.dice.clone(),
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the sweeper of tasks", sweeper.run());
        Tasks::new(parts)
    }

    fn output_reads(&self, pending: &TaskTelling) -> OutputReads {
        let (reads, loading) = OutputReads::new(OutputLoaderParts {
            database: DedicatedConnection::new(self.database.core.clone()),
            hints: pending.notices.here.clone(),
            poll: self.config.database.poll(),
            metrics: Arc::clone(&pending.metrics),
            stop: self.tasks.stop_last(),
        });
        self.tasks.spawn("the loader of output", loading);
        reads
    }
}
