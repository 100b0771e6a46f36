//! Tasks: what a user asks for and a worker does, with a lease, in attempts, in steps.
//!
//! Every change is a move of `moves` on a row that is locked, written by `row` and told by
//! the log in the same transaction. [`Tasks`] is the way in for users and for workers; the
//! [`keeper`] takes reports of progress, many in one transaction, and the [`sweeper`] does what
//! nobody asks for: leases end, and queued tasks have rested.
//!
//! Whoever locks more than one row locks the workflow first, then its children in the order of
//! their names; the log comes last.

use crate::log::EventCommitter;
use crate::log::TaskNotices;
use crate::platform::Pool;

mod behalf;
mod builtin_worker;
mod check;
mod claim;
pub mod claiming;
mod create;
mod error;
mod events;
mod family;
mod hold;
pub mod imports;
mod keeper;
mod list;
mod moves;
pub mod output;
mod percent;
pub mod retention;
mod retry;
mod row;
mod rules;
mod state;
pub mod sweeper;
mod task;
mod text;
mod turns;
pub mod uploads;
mod user;
mod worker;

pub use builtin_worker::{Worker, WorkerParts};
pub use check::{Checking, ParamsCheck, WrongParams};
pub use claim::{ClaimRequest, Claimed};
pub use claiming::ClaimError;
pub use create::{Created, MOST_CHILDREN, NewTask, Order, TaskKey};
pub use error::{Lost, TaskError};
pub use events::AVAILABLE;
pub use hold::HoldOutcome;
pub use imports::{ImportCheck, Importer};
pub use keeper::{GoOn, Report, ReportKeeperParts, Reports};
pub use list::{Found, PageCursor, TaskListQuery, TaskPage};
pub use output::{LoaderParts, OutputPosition, OutputReader, OutputReads, Step};
pub use percent::Percent;
pub use row::Fault;
pub use rules::TaskRules;
pub use state::State;
pub use task::Task;
pub use text::{InvalidLine, Line, Message, Title};
pub use uploads::{Arrival, Full, MOST_UPLOADS, Pace, Upload, UploadError, UploadRules, Uploads};
pub use worker::{LeaseClaim, Outcome};

/// The tasks of all brokers.
#[derive(Clone, Debug)]
pub struct Tasks {
    pool: Pool,
    committer: EventCommitter,
    reports: Reports,
    rules: TaskRules,
    notices: TaskNotices,
    output_reads: output::OutputReads,
    checks: check::Checks,
}

/// What a task book is made of.
#[derive(Clone, Debug)]
pub struct TaskParts {
    pub pool: Pool,
    pub committer: EventCommitter,
    pub reports: Reports,
    pub rules: TaskRules,
    /// Where readers of output learn that a task has changed.
    pub notices: TaskNotices,
    /// Where readers of output ask.
    pub output_reads: output::OutputReads,
}

impl Tasks {
    /// A way to the tasks.
    #[must_use]
    pub fn new(parts: TaskParts) -> Self {
        let TaskParts {
            pool,
            committer,
            reports,
            rules,
            notices,
            output_reads,
        } = parts;
        Self {
            pool,
            committer,
            reports,
            rules,
            notices,
            output_reads,
            checks: check::Checks::default(),
        }
    }

    #[must_use]
    pub fn rules(&self) -> &TaskRules {
        &self.rules
    }
}
