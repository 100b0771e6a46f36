//! Tasks as users read and cancel them.

use sqlx::PgConnection;

use super::row::{self, TaskRef, TaskRow, lock_children, write};
use super::workflow::{self, LockedTask, lock_with_workflow, write_with_workflow};
use super::{FoundTask, Task, TaskAnswer, TaskError, TaskState, Tasks, transitions};
use crate::identity::Caller;
use crate::log::{Answered, IdempotencyKey, NewEvent, claim_key, store_answer};
use crate::platform::{TaskId, Transaction, UserId};

/// Users see their own tasks and those of their teams. Administrators see all.
fn may_see(caller: &Caller, row: &TaskRow) -> bool {
    let is_of_team = row.team.as_ref().is_some_and(|team| caller.is_on(team));
    row.user == caller.user || is_of_team || caller.may_administer()
}

/// A task that the caller may see.
pub(super) async fn find_visible(
    connection: &mut PgConnection,
    caller: &Caller,
    id: &TaskId,
) -> Result<TaskRow, TaskError> {
    let broker = &caller.broker;
    let row = row::read(connection, TaskRef { broker, id }).await?;
    let row = row.filter(|row| may_see(caller, row));
    row.ok_or_else(|| TaskError::Unknown(id.clone()))
}

impl Tasks {
    /// A task with its parameters, and the position of the log.
    pub async fn find(&self, caller: &Caller, id: &TaskId) -> Result<FoundTask, TaskError> {
        let (mut snapshot, position) = self.snapshot(&caller.broker).await?;
        let row = find_visible(&mut snapshot, caller, id).await?;
        let at = TaskRef {
            broker: &caller.broker,
            id,
        };
        let params = row::params(&mut snapshot, at).await?;
        let task = Task::whole(row, params);
        Ok(FoundTask { task, position })
    }

    /// Cancels a task: at once if no worker has it, otherwise the worker is asked to stop. A second
    /// request changes nothing.
    pub async fn cancel(
        &self,
        caller: &Caller,
        id: &TaskId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<TaskAnswer>, TaskError> {
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, key).await? {
            return Ok(answered);
        }
        let row = find_visible(&mut transaction, caller, id).await?;
        if row.user != caller.user && !caller.may_administer() {
            return Err(TaskError::NotYours(id.clone()));
        }
        let at = TaskRef {
            broker: &caller.broker,
            id,
        };
        let locked = lock_with_workflow(&mut transaction, at).await?;
        let locked = locked.ok_or_else(|| TaskError::Unknown(id.clone()))?;
        let state = locked.row.state;
        match state {
            TaskState::Cancelling | TaskState::Cancelled => {
                let answer = TaskAnswer::of(&Task::listed(locked.row))?;
                let answered = store_answer(&mut transaction, key, answer).await?;
                transaction.commit().await?;
                Ok(answered)
            }
            TaskState::Completed | TaskState::Failed => Err(TaskError::WrongState(state)),
            TaskState::Queued | TaskState::Running if locked.row.is_workflow => {
                let cancelled = self.cancel_workflow(transaction, caller, locked.row, key);
                cancelled.await
            }
            TaskState::Queued | TaskState::Running => {
                self.cancel_task(transaction, caller, locked, key).await
            }
        }
    }

    async fn cancel_task(
        &self,
        mut transaction: Transaction<'_>,
        caller: &Caller,
        mut locked: LockedTask,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<TaskAnswer>, TaskError> {
        let broker = &caller.broker;
        let mut events = cancel_row(&mut locked.row, &caller.user)?;
        events.extend(write_with_workflow(&mut transaction, broker, &mut locked).await?);
        let answer = TaskAnswer::of(&Task::listed(locked.row.clone()))?;
        let answered = store_answer(&mut transaction, key, answer).await?;
        self.commit(transaction, broker, locked, events).await?;
        Ok(answered)
    }

    async fn cancel_workflow(
        &self,
        mut transaction: Transaction<'_>,
        caller: &Caller,
        mut row: TaskRow,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<TaskAnswer>, TaskError> {
        let broker = &caller.broker;
        let at = TaskRef {
            broker,
            id: &row.id,
        };
        let mut children = lock_children(&mut transaction, at).await?;
        let mut events = Vec::new();
        row.cancel_requested_at = Some(row.now);
        row.cancel_requested_by = Some(caller.user.clone());
        if row.state == TaskState::Running {
            events.extend(transitions::request_cancel(&mut row, &caller.user)?);
        }
        for child in &mut children {
            if matches!(child.state, TaskState::Queued | TaskState::Running) {
                events.extend(cancel_row(child, &caller.user)?);
                write(&mut transaction, broker, child).await?;
            }
        }
        events.extend(workflow::update(&mut transaction, broker, &mut row).await?);
        let answer = TaskAnswer::of(&Task::listed(row.clone()))?;
        let answered = store_answer(&mut transaction, key, answer).await?;
        self.committer.conclude(transaction, broker, events).await?;
        for id in children.iter().map(|child| &child.id).chain([&row.id]) {
            self.notices.changed(broker, id);
        }
        if row.has_unpublished {
            self.reports.update_workflow(broker, &row.id);
        }
        Ok(answered)
    }
}

fn cancel_row(row: &mut TaskRow, by: &UserId) -> Result<Vec<NewEvent>, TaskError> {
    if row.state == TaskState::Queued {
        transitions::cancel(row, Some(by))
    } else {
        transitions::request_cancel(row, by)
    }
}
