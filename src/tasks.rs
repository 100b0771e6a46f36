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
    hints: output::Hints,
    checks: check::Checks,
}

impl TaskBook {
    /// A way to the tasks; reports go to the keeper behind `reports`.
    #[must_use]
    pub fn new(pool: Pool, teller: Teller, (reports, rules): (Reports, Rules)) -> Self {
        let hints = output::Hints::default();
        Self {
            pool,
            teller,
            reports,
            rules,
            hints,
            checks: check::Checks::default(),
        }
    }

    /// How long things last.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}
