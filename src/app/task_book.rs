//! The parts of tasks: their book, and the background work on them.

use std::sync::Arc;

use super::wire::Ground;
use crate::database::DedicatedConnection;
use crate::event_log::Teller;
use crate::hints::TaskNotices;
use crate::metrics::Metrics;
use crate::tasks::output::{LoaderParts, OutputReads};
use crate::tasks::{self, TaskBook};

/// How changes of tasks are told.
pub(super) struct TaskTelling {
    pub(super) teller: Teller,
    pub(super) notices: TaskNotices,
    pub(super) metrics: Arc<Metrics>,
}

impl TaskTelling {
    pub(super) fn new(teller: Teller, notices: TaskNotices, metrics: &Arc<Metrics>) -> Self {
        let metrics = Arc::clone(metrics);
        Self {
            teller,
            notices,
            metrics,
        }
    }
}

impl Ground<'_> {
    /// Requests change tasks, the keeper takes reports on them, a task reads output for streams,
    /// and another one ends what is over.
    pub(super) fn task_book(&self, telling: TaskTelling) -> TaskBook {
        let parts = tasks::KeeperParts {
            database: DedicatedConnection::new(self.database.core.clone()),
            teller: telling.teller.clone(),
            stop: self.tasks.stop_last(),
        };
        let (reports, keeping) = tasks::Reports::new(parts);
        self.tasks.spawn("the keeper of tasks", keeping);
        let parts = tasks::TaskParts {
            pool: self.database.pool.clone(),
            output_reads: self.output_reads(&telling),
            teller: telling.teller,
            reports,
            rules: self.config.tasks.rules(self.limits().event_bytes),
            notices: telling.notices,
        };
        let sweeper = tasks::sweeper::Sweeper {
            tasks: TaskBook::new(tasks::TaskParts {
                pool: self.database.core.clone(),
                ..parts.clone()
            }),
            dice: self.around.dice.clone(),
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the sweeper of tasks", sweeper.run());
        TaskBook::new(parts)
    }

    fn output_reads(&self, telling: &TaskTelling) -> OutputReads {
        let (reads, loading) = OutputReads::new(LoaderParts {
            database: DedicatedConnection::new(self.database.core.clone()),
            hints: telling.notices.here.clone(),
            poll: self.config.database.poll(),
            metrics: Arc::clone(&telling.metrics),
            stop: self.tasks.stop_last(),
        });
        self.tasks.spawn("the loader of output", loading);
        reads
    }
}
