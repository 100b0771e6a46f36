//! New tasks: single tasks, steps of a workflow, and workflows with their steps.

use serde_json::value::RawValue;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::row::{self, TaskProgress, TaskRef, TaskRow, write};
use super::{ParentError, Percent, Steps, Task, TaskError, TaskState, Tasks, Title};
use super::{requester, transitions, workflow};
use crate::identity::Caller;
use crate::log::{Answered, IdempotencyKey, claim_key, find_answer, store_answer};
use crate::platform::{TaskId, TaskType, TeamId, Transaction};

pub const MOST_CHILDREN: usize = 100;
/// Characters of a task's id.
const ID_LEN: usize = 20;

#[derive(Clone, Debug)]
pub struct NewTask {
    /// Workers choose tasks by their type.
    pub task_type: TaskType,
    pub title: Option<Title>,
    /// On one line.
    pub params: Box<RawValue>,
    pub max_attempts: i32,
}

/// The tasks that a caller asks for.
#[derive(Clone, Debug)]
pub struct TaskRequest {
    pub task: NewTask,
    /// A team of the caller's that receives the events, too.
    pub team: Option<TeamId>,
    /// The workflow that the task is a step of.
    pub parent: Option<TaskId>,
    /// The steps of the task, which is a workflow then.
    pub children: Vec<NewTask>,
    /// With a key, the request can be repeated safely.
    pub key: Option<IdempotencyKey>,
}

/// The outcome of a request for a task.
enum Inserted {
    New(Box<Task>),
    /// An earlier request with the same key created this task.
    Before(TaskId),
}

/// A row to insert, with the parameters of its task.
#[derive(Debug)]
pub(super) struct NewRow {
    pub(super) row: TaskRow,
    pub(super) params: Box<RawValue>,
}

/// Only a team of the caller's may receive the events of a task.
pub(super) fn check_team(caller: &Caller, team: Option<&TeamId>) -> Result<(), TaskError> {
    match team {
        Some(team) if !caller.is_on(team) => Err(TaskError::UnknownTeam(team.clone())),
        _ => Ok(()),
    }
}

impl Tasks {
    /// Creates a task of the caller's, and notifies its user and the workers. A repeated request gets the
    /// same task, as it is now.
    pub async fn create(
        &self,
        caller: &Caller,
        request: TaskRequest,
    ) -> Result<Answered<Task>, TaskError> {
        check_team(caller, request.team.as_ref())?;
        // A repeated request is not checked again.
        let mut known = self.created_before(request.key.as_ref()).await?;
        if known.is_none() {
            self.checks.request(caller, &request).await?;
            known = match self.insert(caller, &request).await? {
                Inserted::New(task) => {
                    return Ok(Answered {
                        answer: *task,
                        is_repeat: false,
                    });
                }
                // The same request came twice at the same moment.
                Inserted::Before(id) => Some(id),
            };
        }
        let id = known.ok_or(TaskError::Busy)?;
        Ok(Answered {
            answer: self.created(caller, &id).await?,
            is_repeat: true,
        })
    }

    async fn insert(&self, caller: &Caller, request: &TaskRequest) -> Result<Inserted, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let key = request.key.as_ref();
        if let Some(Answered { answer, .. }) = claim_key(&mut transaction, key).await? {
            return Ok(Inserted::Before(answer));
        }
        let broker = &caller.broker;
        let mut parent = match &request.parent {
            Some(id) => Some(lock_parent(&mut transaction, caller, id).await?),
            None => None,
        };
        let now = now(&mut transaction).await?;
        let mut rows = self.new_rows(caller, request, now);
        let created = rows.iter_mut();
        let mut events: Vec<_> = created
            .flat_map(|new| transitions::create(&mut new.row))
            .collect();
        insert(&mut transaction, caller, &rows).await?;
        let id = rows[0].row.id.clone();
        let changed = parent.as_mut().or_else(|| {
            let first = rows.first_mut().map(|new| &mut new.row);
            first.filter(|row| row.is_workflow)
        });
        if let Some(changed) = changed {
            changed.is_workflow = true;
            write(&mut transaction, broker, changed).await?;
            events.extend(workflow::update(&mut transaction, broker, changed).await?);
        }
        store_answer(&mut transaction, key, id).await?;
        self.committer.conclude(transaction, broker, events).await?;
        let NewRow { row, params } = rows.swap_remove(0);
        Ok(Inserted::New(Box::new(Task::whole(row, Some(params)))))
    }

    /// The task, and then its steps.
    fn new_rows(&self, caller: &Caller, request: &TaskRequest, now: OffsetDateTime) -> Vec<NewRow> {
        let mut row = self.queued(caller, &request.task, now);
        row.team.clone_from(&request.team);
        row.parent.clone_from(&request.parent);
        row.make_workflow_of(request.children.len());
        let parent = row.id.clone();
        let mut rows = vec![NewRow {
            row,
            params: request.task.params.clone(),
        }];
        for (child, n) in request.children.iter().zip(1..) {
            // Steps are created, and listed, in the order of the request.
            let mut row = self.queued(caller, child, now + time::Duration::microseconds(n));
            row.team.clone_from(&request.team);
            row.parent = Some(parent.clone());
            rows.push(NewRow {
                row,
                params: child.params.clone(),
            });
        }
        rows
    }

    /// A queued task.
    pub(super) fn queued(&self, caller: &Caller, task: &NewTask, now: OffsetDateTime) -> TaskRow {
        let id = self.committer.dice().tag(ID_LEN);
        TaskRow {
            id: id.parse().expect("a tag is a valid id"),
            user: caller.user.clone(),
            team: None,
            task_type: task.task_type.clone(),
            title: task.title.clone(),
            parent: None,
            is_workflow: false,
            retry_of: None,
            state: TaskState::Queued,
            progress: TaskProgress::default(),
            result: None,
            error: None,
            attempt: 0,
            skipped_attempts: 0,
            max_attempts: task.max_attempts,
            lease: None,
            run_after: None,
            cancel_requested_at: None,
            cancel_requested_by: None,
            reported_at: None,
            published_at: None,
            has_unpublished: false,
            output_bytes: 0,
            version: 0,
            created_at: now,
            started_at: None,
            ended_at: None,
            now,
        }
    }

    /// The task that an earlier request with this key created.
    async fn created_before(
        &self,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<TaskId>, TaskError> {
        if key.is_none() {
            return Ok(None);
        }
        let mut connection = self.pool.acquire().await?;
        let found = find_answer(&mut connection, key).await?;
        Ok(found.map(|Answered { answer, .. }| answer))
    }

    async fn created(&self, caller: &Caller, id: &TaskId) -> Result<Task, TaskError> {
        let broker = &caller.broker;
        let at = TaskRef { broker, id };
        let mut connection = self.pool.acquire().await?;
        let row = row::read(&mut connection, at).await?;
        let params = row::params(&mut connection, at).await?;
        let row = row.ok_or_else(|| TaskError::Unknown(id.clone()))?;
        Ok(Task::whole(row, params))
    }
}

/// Locks a parent for another step. It must be the caller's own, and queued or a workflow.
async fn lock_parent(
    connection: &mut PgConnection,
    caller: &Caller,
    id: &TaskId,
) -> Result<TaskRow, TaskError> {
    let broker = &caller.broker;
    let parent = row::lock(connection, TaskRef { broker, id }).await?;
    let parent = parent.filter(|parent| parent.user == caller.user);
    let parent = parent.ok_or_else(|| ParentError::Unknown(id.clone()))?;
    if parent.parent.is_some() {
        return Err(ParentError::IsChild(id.clone()).into());
    }
    let is_open = match parent.state {
        TaskState::Queued => parent.attempts() == 0,
        TaskState::Running => parent.is_workflow,
        _ => false,
    };
    if !is_open {
        return Err(ParentError::WrongState(parent.state).into());
    }
    let children = sqlx::query_scalar!(
        r#"select count(*) as "n!" from porchlight.tasks where broker_id = $1 and parent_id = $2"#,
        broker.as_str(),
        id.as_str(),
    );
    let children = children.fetch_one(connection).await?;
    if usize::try_from(children).is_ok_and(|n| n >= MOST_CHILDREN) {
        return Err(ParentError::TooManyChildren.into());
    }
    Ok(parent)
}

impl TaskRow {
    /// Makes the task a workflow of so many steps. Without steps it is an ordinary task.
    pub(super) fn make_workflow_of(&mut self, steps: usize) {
        self.is_workflow = steps > 0;
        if self.is_workflow {
            self.progress.percent = Percent::of_permille(0).ok();
            let total = i32::try_from(steps).ok();
            self.progress.steps = total.map(|total| Steps { step: 0, total });
        }
    }
}

pub(super) async fn now(transaction: &mut Transaction<'_>) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
        .fetch_one(&mut **transaction)
        .await
}

/// Inserts tasks of the caller's, parents before their children.
pub(super) async fn insert(
    connection: &mut PgConnection,
    caller: &Caller,
    rows: &[NewRow],
) -> sqlx::Result<()> {
    let text = |of: fn(&TaskRow) -> Option<&str>| -> Vec<Option<&str>> {
        rows.iter().map(|new| of(&new.row)).collect()
    };
    let ids = text(|row| Some(row.id.as_str()));
    let users = text(|row| Some(row.user.as_str()));
    let teams = text(|row| row.team.as_ref().map(TeamId::as_str));
    let types = text(|row| Some(row.task_type.as_str()));
    let titles = text(|row| row.title.as_ref().map(Title::as_str));
    let parents = text(|row| row.parent.as_ref().map(TaskId::as_str));
    let retried = text(|row| row.retry_of.as_ref().map(TaskId::as_str));
    let params: Vec<_> = rows.iter().map(|new| new.params.get()).collect();
    let workflows: Vec<_> = rows.iter().map(|new| new.row.is_workflow).collect();
    let attempts: Vec<_> = rows.iter().map(|new| new.row.max_attempts).collect();
    let versions: Vec<_> = rows.iter().map(|new| new.row.version).collect();
    let created: Vec<_> = rows.iter().map(|new| new.row.created_at).collect();
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
        requester::stored(caller),
        caller.role.principal().as_str(),
    )
    .execute(connection)
    .await
    .map(drop)
}
