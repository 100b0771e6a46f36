//! New tasks: alone, as a step of a workflow, or a workflow with its steps.

use serde_json::value::RawValue;
use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;

use super::behalf;
use super::family::settle;
use super::row::{At, Progress, TaskRow, peek, take, write};
use super::{Percent, State, Task, TaskError, Tasks, Title, moves};
use crate::identity::Caller;
use crate::platform::{BrokerId, TaskId, TaskType, TeamId};

pub const MOST_CHILDREN: usize = 100;
/// Letters of a task's name.
const ID_LEN: usize = 20;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// What kind of task it is: workers choose by it.
    pub task_type: TaskType,
    pub title: Option<Title>,
    /// What the worker is given, on one line.
    pub params: Box<RawValue>,
    /// How often it is tried.
    pub max_attempts: i32,
}

/// What a caller calls a request, and its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskKey {
    pub name: String,
    /// SHA-256 of the request.
    pub body_hash: Vec<u8>,
}

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct Order {
    pub task: NewTask,
    /// A team of the caller's that is told of it, too.
    pub team: Option<TeamId>,
    /// The workflow that it is a step of.
    pub parent: Option<TaskId>,
    /// The steps that it has.
    pub children: Vec<NewTask>,
    /// Makes a retry of the request safe.
    pub key: Option<TaskKey>,
}

/// A task that there is now.
#[derive(Clone, Debug)]
pub struct Created {
    pub task: Task,
    /// An earlier request with the same key made it.
    pub is_repeat: bool,
}

impl Tasks {
    /// Makes a task of the caller's, and tells its user and the workers.
    pub async fn create(&self, caller: &Caller, order: Order) -> Result<Created, TaskError> {
        if let Some(team) = order.team.iter().find(|team| !caller.is_on(team)) {
            return Err(TaskError::UnknownTeam(team.clone()));
        }
        if let Some(made) = self.made_before(caller, order.key.as_ref()).await? {
            return Ok(made);
        }
        self.checks.order(caller, &order).await?;
        match self.make(caller, &order).await {
            // The same request came twice at once.
            Err(TaskError::Database(error)) if is_key_taken(&error) => {
                let made = self.made_before(caller, order.key.as_ref()).await?;
                made.ok_or(TaskError::Busy)
            }
            made => {
                let (task, is_repeat) = (made?, false);
                Ok(Created { task, is_repeat })
            }
        }
    }

    async fn make(&self, caller: &Caller, order: &Order) -> Result<Task, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let broker = &caller.broker;
        let mut parent = match &order.parent {
            Some(id) => Some(take_parent(&mut transaction, caller, id).await?),
            None => None,
        };
        let now = now(&mut transaction).await?;
        let mut row = self.fresh(caller, &order.task, now);
        row.team.clone_from(&order.team);
        row.parent.clone_from(&order.parent);
        row.make_workflow_of(order.children.len());
        let mut events = moves::create(&mut row);
        let mut rows = vec![(row, &*order.task.params)];
        for (child, n) in order.children.iter().zip(1..) {
            // Their order is that of the request.
            let mut step = self.fresh(caller, child, now + time::Duration::microseconds(n));
            step.team.clone_from(&order.team);
            step.parent = Some(rows[0].0.id.clone());
            events.extend(moves::create(&mut step));
            rows.push((step, &child.params));
        }
        insert(&mut transaction, caller, &rows).await?;
        if let Some(key) = &order.key {
            keep_key(&mut transaction, (broker, &rows[0].0.id), key).await?;
        }
        let family = parent.as_mut().or_else(|| {
            let first = rows.first_mut().map(|(row, _)| row);
            first.filter(|row| row.is_workflow)
        });
        if let Some(parent) = family {
            parent.is_workflow = true;
            write(&mut transaction, broker, parent).await?;
            events.extend(settle(&mut transaction, broker, parent).await?);
        }
        self.committer.conclude(transaction, broker, events).await?;
        let (row, params) = rows.swap_remove(0);
        Ok(Task::whole(row, Some(params.to_owned())))
    }

    /// A task that waits from now on.
    pub(super) fn fresh(&self, caller: &Caller, task: &NewTask, now: OffsetDateTime) -> TaskRow {
        let id = self.committer.dice().tag(ID_LEN);
        TaskRow {
            id: id.parse().expect("a tag is a name"),
            user: caller.user.clone(),
            team: None,
            task_type: task.task_type.clone(),
            title: task.title.clone(),
            parent: None,
            is_workflow: false,
            retry_of: None,
            state: State::Queued,
            progress: Progress::default(),
            result: None,
            error: None,
            attempt: 0,
            max_attempts: task.max_attempts,
            held: None,
            run_after: None,
            cancel_requested_at: None,
            cancel_requested_by: None,
            reported_at: None,
            told_at: None,
            is_untold: false,
            output_bytes: 0,
            version: 0,
            created_at: now,
            started_at: None,
            ended_at: None,
            now,
        }
    }

    /// What an earlier request with this key has made.
    async fn made_before(
        &self,
        caller: &Caller,
        key: Option<&TaskKey>,
    ) -> Result<Option<Created>, TaskError> {
        let Some(key) = key else { return Ok(None) };
        let mut connection = self.pool.acquire().await?;
        let made = sqlx::query!(
            r#"select id, body_hash as "body_hash!" from porchlight.tasks
               where broker_id = $1 and user_id = $2 and asked_as = $3 and idempotency_key = $4"#,
            caller.broker.as_str(),
            caller.user.as_str(),
            caller.role.principal().as_str(),
            key.name,
        );
        let Some(made) = made.fetch_optional(&mut *connection).await? else {
            return Ok(None);
        };
        if made.body_hash != key.body_hash {
            return Err(TaskError::KeyReused);
        }
        let id = made.id.parse().map_err(|_| TaskError::Busy)?;
        let (broker, id) = (&caller.broker, &id);
        let row = peek(&mut connection, At { broker, id }).await?;
        let params = super::row::params(&mut connection, At { broker, id }).await?;
        Ok(row.map(|row| Created {
            task: Task::whole(row, params),
            is_repeat: true,
        }))
    }
}

/// A parent that may have another step: the caller's own, waiting or a workflow already.
pub(super) async fn take_parent(
    connection: &mut PgConnection,
    caller: &Caller,
    id: &TaskId,
) -> Result<TaskRow, TaskError> {
    let broker = &caller.broker;
    let parent = take(connection, At { broker, id }).await?;
    let parent = parent.filter(|parent| parent.user == caller.user);
    let parent = parent.ok_or_else(|| TaskError::UnknownParent(id.clone()))?;
    if parent.parent.is_some() {
        return Err(TaskError::ParentIsChild(id.clone()));
    }
    let is_open = match parent.state {
        State::Queued => parent.attempt == 0,
        State::Running => parent.is_workflow,
        _ => false,
    };
    if !is_open {
        return Err(TaskError::ParentBusy(parent.state));
    }
    let children = sqlx::query_scalar!(
        r#"select count(*) as "n!" from porchlight.tasks where broker_id = $1 and parent_id = $2"#,
        broker.as_str(),
        id.as_str(),
    );
    let children = children.fetch_one(connection).await?;
    if usize::try_from(children).is_ok_and(|n| n >= MOST_CHILDREN) {
        return Err(TaskError::TooManyChildren);
    }
    Ok(parent)
}

impl TaskRow {
    /// A workflow of so many steps, none of them done; of none, it is an ordinary task.
    pub(super) fn make_workflow_of(&mut self, steps: usize) {
        self.is_workflow = steps > 0;
        if self.is_workflow {
            self.progress.percent = Percent::of_permille(0).ok();
            self.progress.step = i32::try_from(steps).ok().map(|steps| (0, steps));
        }
    }
}

pub(super) async fn now(
    transaction: &mut Transaction<'_, Postgres>,
) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
        .fetch_one(&mut **transaction)
        .await
}

/// Inserts tasks of the caller's with what they are given, parents before their children.
pub(super) async fn insert(
    connection: &mut PgConnection,
    caller: &Caller,
    rows: &[(TaskRow, &RawValue)],
) -> sqlx::Result<()> {
    let text = |of: fn(&TaskRow) -> Option<&str>| -> Vec<Option<&str>> {
        rows.iter().map(|(row, _)| of(row)).collect()
    };
    let ids = text(|row| Some(row.id.as_str()));
    let users = text(|row| Some(row.user.as_str()));
    let teams = text(|row| row.team.as_ref().map(TeamId::as_str));
    let types = text(|row| Some(row.task_type.as_str()));
    let titles = text(|row| row.title.as_ref().map(Title::as_str));
    let parents = text(|row| row.parent.as_ref().map(TaskId::as_str));
    let retried = text(|row| row.retry_of.as_ref().map(TaskId::as_str));
    let params: Vec<_> = rows.iter().map(|(_, params)| params.get()).collect();
    let workflows: Vec<_> = rows.iter().map(|(row, _)| row.is_workflow).collect();
    let attempts: Vec<_> = rows.iter().map(|(row, _)| row.max_attempts).collect();
    let versions: Vec<_> = rows.iter().map(|(row, _)| row.version).collect();
    let created: Vec<_> = rows.iter().map(|(row, _)| row.created_at).collect();
    sqlx::query!(
        "insert into porchlight.tasks (broker_id, id, user_id, team_id, type, title, params,
             parent_id, retry_of, is_workflow, max_attempts, version, created_at, on_behalf,
             asked_as)
         select $1, id, user_id, team_id, type, title, params::json, parent_id, retry_of,
             is_workflow, max_attempts, version, created_at, $14::text::json, $15
         from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                 $8::text[], $9::text[], $10::boolean[], $11::integer[], $12::bigint[],
                 $13::timestamptz[])
             as t(id, user_id, team_id, type, title, params, parent_id, retry_of, is_workflow,
                 max_attempts, version, created_at)",
        caller.broker.as_str(),
        &ids as &[Option<&str>],
        &users as &[Option<&str>],
        &teams as &[Option<&str>],
        &types as &[Option<&str>],
        &titles as &[Option<&str>],
        &params as &[&str],
        &parents as &[Option<&str>],
        &retried as &[Option<&str>],
        &workflows,
        &attempts,
        &versions,
        &created,
        behalf::written(caller),
        caller.role.principal().as_str(),
    )
    .execute(connection)
    .await
    .map(drop)
}

async fn keep_key(
    connection: &mut PgConnection,
    (broker, id): (&BrokerId, &TaskId),
    key: &TaskKey,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update porchlight.tasks set idempotency_key = $3, body_hash = $4
         where broker_id = $1 and id = $2",
        broker.as_str(),
        id.as_str(),
        key.name,
        key.body_hash,
    )
    .execute(connection)
    .await
    .map(drop)
}

fn is_key_taken(error: &sqlx::Error) -> bool {
    let refusal = error.as_database_error();
    refusal.and_then(sqlx::error::DatabaseError::constraint) == Some("task_key_used_once")
}
