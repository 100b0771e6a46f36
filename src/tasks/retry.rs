//! Doing again what failed or was cancelled: a new task, linked to the old one.

use serde_json::value::RawValue;
use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;

use super::create::{insert, now};
use super::family::settle;
use super::row::{At, TaskRow, look, params, take, write};
use super::user::seen;
use super::{NewTask, State, Task, TaskError, Tasks, moves};
use crate::identity::Caller;
use crate::log::NewEvent;
use crate::platform::{TaskId, TaskType};

/// A copy and what it is given.
type Copy = (TaskRow, Box<RawValue>);

impl Tasks {
    /// Does a task of the caller's again. Of a workflow, those steps that did not complete; a
    /// step goes back to its workflow if that has not ended.
    pub async fn retry(&self, caller: &Caller, id: &TaskId) -> Result<Task, TaskError> {
        self.check_again(caller, id).await?;
        let mut transaction = self.pool.begin().await?;
        let old = seen(&mut transaction, caller, id).await?;
        if old.user != caller.user {
            return Err(TaskError::NotYours(id.clone()));
        }
        if !matches!(old.state, State::Failed | State::Cancelled) {
            return Err(TaskError::WrongState(old.state));
        }
        let mut parent = open_parent(&mut transaction, caller, &old).await?;
        let now = now(&mut transaction).await?;
        let mut first = self.again((&mut transaction, caller), &old, now).await?;
        first.0.parent = parent.as_ref().map(|parent| parent.id.clone());
        let mut copies = vec![first];
        if old.is_workflow {
            let steps = self
                .steps_again((&mut transaction, caller), &old, now)
                .await?;
            copies[0].0.make_workflow_of(steps.len());
            copies.extend(steps);
            let id = copies[0].0.id.clone();
            for (step, _) in &mut copies[1..] {
                step.parent = Some(id.clone());
            }
        }
        let events: Vec<_> = copies
            .iter_mut()
            .flat_map(|(row, _)| moves::create(row))
            .collect();
        self.insert_again((transaction, caller), (&copies, parent.as_mut()), events)
            .await?;
        let (row, params) = copies.swap_remove(0);
        Ok(Task::whole(row, Some(params)))
    }

    /// Refuses to do again what cannot be done any more. This comes before the rows are taken: what a
    /// task is given never changes, and a check may need a connection of its own.
    async fn check_again(&self, caller: &Caller, id: &TaskId) -> Result<(), TaskError> {
        let types: Vec<_> = self.checks.types().map(TaskType::as_str).collect();
        if types.is_empty() {
            return Ok(());
        }
        let mut connection = self.pool.acquire().await?;
        let undone = undone_params(&mut connection, (caller, id), &types).await?;
        drop(connection);
        for (task_type, params) in &undone {
            self.checks.params(caller, (task_type, params)).await?;
        }
        Ok(())
    }

    async fn insert_again(
        &self,
        (mut transaction, caller): (Transaction<'_, Postgres>, &Caller),
        (copies, parent): (&[Copy], Option<&mut TaskRow>),
        mut events: Vec<NewEvent>,
    ) -> Result<(), TaskError> {
        let broker = &caller.broker;
        let rows: Vec<_> = copies
            .iter()
            .map(|(row, params)| (row.clone(), &**params))
            .collect();
        insert(&mut transaction, caller, &rows).await?;
        let mut workflow = rows.into_iter().map(|(row, _)| row).next();
        let workflow = workflow.as_mut().filter(|row| row.is_workflow);
        if let Some(parent) = parent.or(workflow) {
            write(&mut transaction, broker, parent).await?;
            events.extend(settle(&mut transaction, broker, parent).await?);
        }
        self.committer.conclude(transaction, broker, events).await?;
        Ok(())
    }

    async fn again(
        &self,
        (connection, caller): (&mut PgConnection, &Caller),
        old: &TaskRow,
        now: OffsetDateTime,
    ) -> Result<Copy, TaskError> {
        let at = At {
            broker: &caller.broker,
            id: &old.id,
        };
        let params = params(connection, at).await?;
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
            ..self.fresh(caller, &task, now)
        };
        Ok((row, params))
    }

    async fn steps_again(
        &self,
        (connection, caller): (&mut PgConnection, &Caller),
        old: &TaskRow,
        now: OffsetDateTime,
    ) -> Result<Vec<Copy>, TaskError> {
        let mut steps = Vec::new();
        for (step, n) in left_undone(connection, caller, old).await?.iter().zip(1..) {
            let now = now + time::Duration::microseconds(n);
            steps.push(self.again((&mut *connection, caller), step, now).await?);
        }
        if steps.is_empty() {
            return Err(TaskError::AlreadyRetried);
        }
        Ok(steps)
    }
}

/// The workflow of a step, if it goes on.
async fn open_parent(
    connection: &mut PgConnection,
    caller: &Caller,
    old: &TaskRow,
) -> Result<Option<TaskRow>, TaskError> {
    let Some(id) = &old.parent else {
        return Ok(None);
    };
    let at = At {
        broker: &caller.broker,
        id,
    };
    let parent = take(connection, at).await?;
    Ok(parent.filter(|parent| matches!(parent.state, State::Queued | State::Running)))
}

/// What the caller's task is given, or what those of its steps are that did not complete, as far as
/// they are of these types and not done again elsewhere.
async fn undone_params(
    connection: &mut PgConnection,
    (caller, id): (&Caller, &TaskId),
    types: &[&str],
) -> Result<Vec<(TaskType, Box<RawValue>)>, TaskError> {
    let undone = sqlx::query!(
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
    let undone = undone.fetch_all(connection).await?.into_iter().map(|row| {
        let params = RawValue::from_string(row.params);
        Some((row.r#type.parse().ok()?, params.ok()?))
    });
    undone.collect::<Option<_>>().ok_or(TaskError::Busy)
}

/// Steps that did not complete and are not done again elsewhere, in their order.
async fn left_undone(
    connection: &mut PgConnection,
    caller: &Caller,
    workflow: &TaskRow,
) -> sqlx::Result<Vec<TaskRow>> {
    let found = look!(
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
