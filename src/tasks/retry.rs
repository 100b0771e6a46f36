//! Retries: a new task that is linked to the failed or cancelled one.

use serde_json::value::RawValue;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::create::{NewRow, check_team, insert, now};
use super::row::{self, TaskRef, TaskRow, select_tasks, write};
use super::user::find_visible;
use super::{NewTask, Task, TaskAnswer, TaskError, TaskState, Tasks, transitions, workflow};
use crate::identity::Caller;
use crate::log::{Answered, IdempotencyKey, NewEvent};
use crate::log::{claim_key, find_answer, store_answer};
use crate::platform::{TaskId, TaskType};

/// The parameters of a task that a retry repeats.
struct RetriedParams {
    task_type: TaskType,
    params: Box<RawValue>,
}

impl Tasks {
    /// Repeats a task of the caller's. Of a workflow, it repeats the steps that did not complete. A
    /// repeated step belongs to its workflow again if that has not ended.
    pub async fn retry(
        &self,
        caller: &Caller,
        id: &TaskId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<TaskAnswer>, TaskError> {
        if let Some(answered) = self.answered_before(key).await? {
            return Ok(answered);
        }
        self.check_retry(caller, id).await?;
        let mut transaction = self.pool.begin().await?;
        if let Some(answered) = claim_key(&mut transaction, key).await? {
            return Ok(answered);
        }
        let old = find_visible(&mut transaction, caller, id).await?;
        if old.user != caller.user {
            return Err(TaskError::NotYours(id.clone()));
        }
        if !matches!(old.state, TaskState::Failed | TaskState::Cancelled) {
            return Err(TaskError::WrongState(old.state));
        }
        let mut parent = lock_open_parent(&mut transaction, caller, &old).await?;
        let now = now(&mut transaction).await?;
        let mut first = self.copy(&mut transaction, caller, &old, now).await?;
        first.row.parent = parent.as_ref().map(|parent| parent.id.clone());
        let mut copies = vec![first];
        if old.is_workflow {
            let mut steps = self.copy_steps(&mut transaction, caller, &old, now).await?;
            let workflow = &mut copies[0].row;
            workflow.make_workflow_of(steps.len());
            for step in &mut steps {
                step.row.parent = Some(workflow.id.clone());
            }
            copies.extend(steps);
        }
        let created = copies.iter_mut();
        let events = created.flat_map(|copy| transitions::create(&mut copy.row));
        let mut events: Vec<_> = events.collect();
        let broker = &caller.broker;
        let inserted = insert_copies(&mut transaction, caller, &copies, parent.as_mut());
        events.extend(inserted.await?);
        let NewRow { row, params } = copies.swap_remove(0);
        let answer = TaskAnswer::of(&Task::whole(row, Some(params)))?;
        let answered = store_answer(&mut transaction, key, answer).await?;
        self.committer.conclude(transaction, broker, events).await?;
        Ok(answered)
    }

    /// The answer to an earlier request with this key. It is looked for before the parameters are
    /// checked.
    async fn answered_before(
        &self,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<Answered<TaskAnswer>>, TaskError> {
        if key.is_none() {
            return Ok(None);
        }
        let mut connection = self.pool.acquire().await?;
        Ok(find_answer(&mut connection, key).await?)
    }

    /// Checks the parameters again. This happens before the rows are locked: parameters never change,
    /// and a check may need another connection.
    async fn check_retry(&self, caller: &Caller, id: &TaskId) -> Result<(), TaskError> {
        let types: Vec<_> = self.checks.types().map(TaskType::as_str).collect();
        if types.is_empty() {
            return Ok(());
        }
        let mut connection = self.pool.acquire().await?;
        let retried = retried_params(&mut connection, caller, id, &types).await?;
        drop(connection);
        for RetriedParams { task_type, params } in &retried {
            self.checks.params(caller, task_type, params).await?;
        }
        Ok(())
    }

    /// A retry is refused like the same request would be now: its user may have left the team.
    async fn copy(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        old: &TaskRow,
        now: OffsetDateTime,
    ) -> Result<NewRow, TaskError> {
        check_team(caller, old.team.as_ref())?;
        let at = TaskRef {
            broker: &caller.broker,
            id: &old.id,
        };
        let params = row::params(connection, at).await?;
        let params = params.ok_or_else(|| TaskError::Unknown(old.id.clone()))?;
        let task = NewTask {
            task_type: old.task_type.clone(),
            title: old.title.clone(),
            params: params.clone(),
            max_attempts: old.max_attempts,
        };
        let row = TaskRow {
            team: old.team.clone(),
            retry_of: Some(old.id.clone()),
            ..self.queued(caller, &task, now)
        };
        Ok(NewRow { row, params })
    }

    async fn copy_steps(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        workflow: &TaskRow,
        now: OffsetDateTime,
    ) -> Result<Vec<NewRow>, TaskError> {
        let mut copies = Vec::new();
        let steps = incomplete_steps(connection, caller, workflow).await?;
        for (step, n) in steps.iter().zip(1..) {
            let now = now + time::Duration::microseconds(n);
            copies.push(self.copy(connection, caller, step, now).await?);
        }
        if copies.is_empty() {
            return Err(TaskError::AlreadyRetried);
        }
        Ok(copies)
    }
}

/// Inserts the new tasks, and returns the events of their workflow.
async fn insert_copies(
    connection: &mut PgConnection,
    caller: &Caller,
    copies: &[NewRow],
    parent: Option<&mut TaskRow>,
) -> Result<Vec<NewEvent>, TaskError> {
    let broker = &caller.broker;
    insert(connection, caller, copies).await?;
    let first = copies.first().filter(|copy| copy.row.is_workflow);
    let mut first = first.map(|copy| copy.row.clone());
    let Some(changed) = parent.or(first.as_mut()) else {
        return Ok(Vec::new());
    };
    write(connection, broker, changed).await?;
    workflow::update(connection, broker, changed).await
}

/// Locks the workflow of a step, if it has not ended.
async fn lock_open_parent(
    connection: &mut PgConnection,
    caller: &Caller,
    old: &TaskRow,
) -> Result<Option<TaskRow>, TaskError> {
    let Some(id) = &old.parent else {
        return Ok(None);
    };
    let at = TaskRef {
        broker: &caller.broker,
        id,
    };
    let parent = row::lock(connection, at).await?;
    Ok(parent.filter(|parent| matches!(parent.state, TaskState::Queued | TaskState::Running)))
}

/// The parameters that a retry of the caller's task repeats, of these types: its own, or those of
/// its steps that did not complete and were not retried.
async fn retried_params(
    connection: &mut PgConnection,
    caller: &Caller,
    id: &TaskId,
    types: &[&str],
) -> Result<Vec<RetriedParams>, TaskError> {
    let found = sqlx::query!(
        r#"select t.type, t.params::text as "params!" from porchlight.tasks t
           where t.broker_id = $1 and t.user_id = $2 and (t.id = $3 or t.parent_id = $3)
               and t.type = any($4) and not t.is_workflow and t.state in ('failed', 'cancelled')
               and not exists (select from porchlight.tasks r
                   where r.broker_id = t.broker_id and r.retry_of = t.id)
           order by t.created_at"#,
        caller.broker.as_str(),
        caller.user.as_str(),
        id.as_str(),
        types as &[&str],
    );
    let retried = found.fetch_all(connection).await?.into_iter().map(|row| {
        Some(RetriedParams {
            task_type: row.r#type.parse().ok()?,
            params: RawValue::from_string(row.params).ok()?,
        })
    });
    retried.collect::<Option<_>>().ok_or(TaskError::Busy)
}

/// The steps that did not complete and were not retried, in their order.
async fn incomplete_steps(
    connection: &mut PgConnection,
    caller: &Caller,
    workflow: &TaskRow,
) -> sqlx::Result<Vec<TaskRow>> {
    let found = select_tasks!(
        "select c.* from porchlight.tasks c
         where c.broker_id = $1 and c.parent_id = $2 and c.state in ('failed', 'cancelled')
             and not exists (select from porchlight.tasks r
                 where r.broker_id = c.broker_id and r.retry_of = c.id)",
        caller.broker.as_str(),
        workflow.id.as_str(),
    );
    let rows = found.fetch_all(connection).await?;
    rows.into_iter().rev().map(TaskRow::try_from).collect()
}
