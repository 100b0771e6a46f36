//! What users see of their tasks, and how they end them.

use sqlx::{PgConnection, Postgres, Transaction};

use super::family::{Family, settle, take_family};
use super::row::{At, TaskRow, peek, take_children, write};
use super::{Found, State, Task, TaskError, Tasks, moves};
use crate::identity::Caller;
use crate::log::NewEvent;
use crate::platform::{TaskId, UserId};

/// Whether the caller may see a task: it is theirs, their team is told, or they run the broker.
pub(super) fn sees(caller: &Caller, row: &TaskRow) -> bool {
    let is_told = row.team.as_ref().is_some_and(|team| caller.is_on(team));
    row.user == caller.user || is_told || caller.may_administer()
}

/// A task that the caller may see.
pub(super) async fn seen(
    connection: &mut PgConnection,
    caller: &Caller,
    id: &TaskId,
) -> Result<TaskRow, TaskError> {
    let broker = &caller.broker;
    let row = peek(connection, At { broker, id }).await?;
    let row = row.filter(|row| sees(caller, row));
    row.ok_or_else(|| TaskError::Unknown(id.clone()))
}

impl Tasks {
    /// All of a task, and where the log stood.
    pub async fn find(&self, caller: &Caller, id: &TaskId) -> Result<Found, TaskError> {
        let (mut snapshot, position) = self.snapshot(&caller.broker).await?;
        let row = seen(&mut snapshot, caller, id).await?;
        let at = At {
            broker: &caller.broker,
            id,
        };
        let params = super::row::params(&mut snapshot, at).await?;
        let task = Task::whole(row, params);
        Ok(Found { task, position })
    }

    /// Ends a task: at once where nobody is at it, else its worker is told. Asking again
    /// changes nothing.
    pub async fn cancel(&self, caller: &Caller, id: &TaskId) -> Result<Task, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let row = seen(&mut transaction, caller, id).await?;
        if row.user != caller.user && !caller.may_administer() {
            return Err(TaskError::NotYours(id.clone()));
        }
        let at = At {
            broker: &caller.broker,
            id,
        };
        let family = take_family(&mut transaction, at).await?;
        let family = family.ok_or_else(|| TaskError::Unknown(id.clone()))?;
        match family.row.state {
            State::Cancelling | State::Cancelled => Ok(Task::listed(family.row)),
            State::Completed | State::Failed => Err(TaskError::WrongState(family.row.state)),
            State::Queued | State::Running if family.row.is_workflow => {
                self.cancel_workflow(transaction, caller, family.row).await
            }
            State::Queued | State::Running => self.cancel_one(transaction, caller, family).await,
        }
    }

    async fn cancel_one(
        &self,
        transaction: Transaction<'_, Postgres>,
        caller: &Caller,
        mut family: Family,
    ) -> Result<Task, TaskError> {
        let events = end_or_ask(&mut family.row, &caller.user)?;
        let whose = (&caller.broker, family);
        let row = self.conclude(transaction, whose, events).await?;
        Ok(Task::listed(row))
    }

    async fn cancel_workflow(
        &self,
        mut transaction: Transaction<'_, Postgres>,
        caller: &Caller,
        mut row: TaskRow,
    ) -> Result<Task, TaskError> {
        let broker = &caller.broker;
        let at = At {
            broker,
            id: &row.id,
        };
        let mut children = take_children(&mut transaction, at).await?;
        let mut events = Vec::new();
        row.cancel_requested_at = Some(row.now);
        row.cancel_requested_by = Some(caller.user.clone());
        if row.state == State::Running {
            events.extend(moves::ask_to_end(&mut row, &caller.user)?);
        }
        for child in &mut children {
            if matches!(child.state, State::Queued | State::Running) {
                events.extend(end_or_ask(child, &caller.user)?);
                write(&mut transaction, broker, child).await?;
            }
        }
        events.extend(settle(&mut transaction, broker, &mut row).await?);
        self.committer.conclude(transaction, broker, events).await?;
        for id in children.iter().map(|child| &child.id).chain([&row.id]) {
            self.notices.changed(broker, id);
        }
        if row.is_untold {
            self.reports.look_at_family(broker, &row.id);
        }
        Ok(Task::listed(row))
    }
}

fn end_or_ask(row: &mut TaskRow, by: &UserId) -> Result<Vec<NewEvent>, TaskError> {
    if row.state == State::Queued {
        moves::cancel(row, Some(by))
    } else {
        moves::ask_to_end(row, by)
    }
}
