//! Tasks: what a user asks for and a worker does, with a lease, in attempts, in steps.
//!
//! Every change is a move of `moves` on a row that is locked, written by `row` and told by
//! the log in the same transaction. [`TaskBook`] is the way in for users and for workers; the
//! [`keeper`] takes reports of progress, many in one transaction, and the [`sweeper`] does what
//! nobody asks for: leases end, and queued tasks have rested.
//!
//! Whoever locks more than one row locks the workflow first, then its children in the order of
//! their names; the log comes last.

use crate::database::Pool;
use crate::event_log::Teller;
use crate::hints::TaskNotices;

mod behalf;
mod check;
mod claim;
mod create;
mod error;
mod family;
mod hold;
pub mod keeper;
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
mod user;
mod words;
mod worker;

pub use check::{Checking, ParamsCheck, WrongParams};
pub use claim::{Claimed, Wanted};
pub use create::{Created, Key, MOST_CHILDREN, NewTask, Order};
pub use error::{Lost, TaskError};
pub use hold::Held;
pub use keeper::{GoOn, KeeperParts, Report, Reports};
pub use list::{Found, Listed, PageCursor, Question};
pub use percent::Percent;
pub use row::Fault;
pub use rules::Rules;
pub use state::State;
pub use task::Task;
pub use text::{InvalidLine, Line, Message, Title};
pub use words::AVAILABLE;
pub use worker::{Holding, Outcome};

/// The tasks of all brokers.
#[derive(Clone, Debug)]
pub struct TaskBook {
    pool: Pool,
    teller: Teller,
    reports: Reports,
    rules: Rules,
    notices: TaskNotices,
    output_reads: output::OutputReads,
    checks: check::Checks,
}

/// What a task book is made of.
#[derive(Clone, Debug)]
pub struct TaskParts {
    /// The database.
    pub pool: Pool,
    /// How changes are told.
    pub teller: Teller,
    /// Where reports go.
    pub reports: Reports,
    /// How long things last.
    pub rules: Rules,
    /// Where readers of output learn that a task has changed.
    pub notices: TaskNotices,
    /// Where readers of output ask.
    pub output_reads: output::OutputReads,
}

impl TaskBook {
    /// A way to the tasks.
    #[must_use]
    pub fn new(parts: TaskParts) -> Self {
        let TaskParts {
            pool,
            teller,
            reports,
            rules,
            notices,
            output_reads,
        } = parts;
        Self {
            pool,
            teller,
            reports,
            rules,
            notices,
            output_reads,
            checks: check::Checks::default(),
        }
    }

    /// How long things last.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}
