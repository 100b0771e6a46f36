//! Tasks: a user requests them, and a worker carries them out, in attempts, each under a lease.
//!
//! [`Tasks`] has the operations of users and workers. Each locks a row, changes it with
//! `transitions`, writes it with `row`, and publishes the events in the same transaction. `progress`
//! writes many reports in one transaction. The [`sweeper`] makes the changes that no request makes:
//! leases run out, and retry delays end.
//!
//! A transaction that locks more than one row locks the workflow first, then its steps by id. The count
//! of idempotency keys comes after them, and the log last.

use crate::log::EventCommitter;
use crate::log::TaskNotices;
use crate::platform::Pool;

mod builtin_worker;
mod check;
mod claim;
pub mod claim_wait;
mod create;
mod error;
mod events;
pub mod figures;
pub mod imports;
mod lease;
mod list;
pub mod output;
mod percent;
mod progress;
mod requester;
pub mod retention;
mod retry;
mod round_robin;
mod row;
mod rules;
mod state;
pub mod sweeper;
mod task;
mod text;
mod transitions;
pub mod uploads;
mod user;
mod worker;
mod workflow;

pub use builtin_worker::{Worker, WorkerParts};
pub use check::{Checking, ParamsCheck, WrongParams};
pub use claim::{ClaimRequest, Claimed};
pub use claim_wait::{ClaimError, WaitingClaim};
pub use create::{MOST_CHILDREN, NewTask, TaskRequest};
pub use error::{Lost, ParentError, TaskError};
pub use events::AVAILABLE;
pub use imports::{ImportCheck, Importer};
pub use lease::{LeaseClaim, LeaseState};
pub use list::{FoundTask, TaskCursor, TaskListQuery, TaskPage};
pub use output::{OutputChunk, OutputLoaderParts, OutputPosition, OutputReader, OutputReads};
pub use output::{OutputStart, OutputStep};
pub use percent::Percent;
pub use progress::{ProgressWriterParts, Report, ReportAck, Reports};
pub use row::{Steps, TaskFault};
pub use rules::TaskRules;
pub use state::TaskState;
pub use task::{Task, TaskAnswer};
pub use text::{BoundedText, InvalidBoundedText, Message, Title};
pub use uploads::{IncomingUpload, Pace, Upload, UploadError, UploadLimit};
pub use uploads::{UploadRules, Uploads};
pub use worker::{Completion, EndedAttempt, TaskOutcome};

/// The tasks of all brokerages.
#[derive(Clone, Debug)]
pub struct Tasks {
    pool: Pool,
    committer: EventCommitter,
    reports: Reports,
    rules: TaskRules,
    notices: TaskNotices,
    output_reads: OutputReads,
    checks: check::Checks,
}

#[derive(Clone, Debug)]
pub struct TaskParts {
    pub pool: Pool,
    pub committer: EventCommitter,
    pub reports: Reports,
    pub rules: TaskRules,
    /// Notifies readers of output when a task has changed.
    pub notices: TaskNotices,
    pub output_reads: OutputReads,
}

impl Tasks {
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
