//! Stores many reports in one statement, and renews the leases of their tasks.

use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::log::{NewEvent, TaskKey};
use crate::platform::{BrokerId, TaskId, TeamId, UserId};
use crate::tasks::events::ProgressEvent;
use crate::tasks::row::TaskProgress;
use crate::tasks::transitions::PROGRESS_INTERVAL;
use crate::tasks::{LeaseClaim, Message, Percent, Steps, TaskState};

/// A report to store. Without a lease, it only publishes what is unpublished.
#[derive(Debug)]
pub(super) struct TaskUpdate {
    pub(super) key: TaskKey,
    pub(super) lease: Option<LeaseClaim>,
    pub(super) progress: TaskProgress,
}

/// A task that was updated.
#[derive(Debug)]
pub(super) struct UpdatedTask {
    pub(super) key: TaskKey,
    pub(super) lease: Option<LeaseClaim>,
    pub(super) state: TaskState,
    pub(super) lease_until: OffsetDateTime,
    pub(super) version: i64,
    pub(super) parent: Option<TaskId>,
    /// What is published now.
    pub(super) events: Vec<NewEvent>,
    /// When unpublished progress is due, if there is any.
    pub(super) publish_in: Option<Duration>,
}

impl TaskUpdate {
    fn worker(&self) -> Option<&str> {
        self.lease.as_ref().map(|lease| lease.worker.as_str())
    }

    fn fence(&self) -> Option<i32> {
        self.lease.as_ref().map(|lease| lease.fence)
    }

    fn permille(&self) -> Option<i16> {
        self.progress.percent.map(Percent::permille)
    }
}

struct UpdatedTaskRow {
    broker_id: String,
    id: String,
    is_report: bool,
    worker_id: Option<String>,
    attempt: i32,
    state: String,
    lease_until: OffsetDateTime,
    parent_id: Option<String>,
    user_id: String,
    team_id: Option<String>,
    permille: Option<i16>,
    step: Option<i32>,
    steps: Option<i32>,
    message: Option<String>,
    partial: Option<String>,
    version: i64,
    is_published: bool,
    wait_ms: Option<i32>,
}

/// Stores reports. Rows are locked in the same order everywhere. A task whose lease the worker
/// does not hold is neither changed nor returned.
pub(super) async fn store(
    connection: &mut PgConnection,
    updates: &[TaskUpdate],
) -> sqlx::Result<Vec<UpdatedTask>> {
    let rows = update_rows(connection, updates).await?.into_iter();
    let mut stored: Vec<_> = rows.filter_map(UpdatedTaskRow::updated_task).collect();
    // The events of one log have a fixed order.
    stored.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(stored)
}

async fn update_rows(
    connection: &mut PgConnection,
    updates: &[TaskUpdate],
) -> sqlx::Result<Vec<UpdatedTaskRow>> {
    let column = |of: fn(&TaskUpdate) -> Option<&str>| updates.iter().map(of).collect::<Vec<_>>();
    let brokers = column(|u| Some(u.key.broker.as_str()));
    let ids = column(|u| Some(u.key.task.as_str()));
    let workers = column(TaskUpdate::worker);
    let messages = column(|u| u.progress.message.as_ref().map(Message::as_str));
    let partials = column(|u| u.progress.partial.as_deref().map(RawValue::get));
    let fences: Vec<_> = updates.iter().map(TaskUpdate::fence).collect();
    let percents: Vec<_> = updates.iter().map(TaskUpdate::permille).collect();
    let steps = updates.iter().map(|update| update.progress.steps);
    let step_numbers: Vec<_> = steps.clone().map(|s| s.map(|s| s.step)).collect();
    let step_totals: Vec<_> = steps.map(|s| s.map(|s| s.total)).collect();
    sqlx::query_as!(
        UpdatedTaskRow,
        r#"with asked as (
               select * from unnest($1::text[], $2::text[], $3::text[], $4::integer[],
                       $5::smallint[], $6::integer[], $7::integer[], $8::text[], $9::text[])
                   as a(broker_id, id, worker_id, fence, permille, step, steps, message, partial)
           ), mine as materialized (
               select t.broker_id, t.id, a.fence is not null as is_report, a.permille, a.step,
                   a.steps, a.message, a.partial,
                   (a.fence is not null or t.is_untold) and (t.told_at is null
                       or t.told_at + $10::float8 * interval '1 second' <= clock_timestamp())
                       as tells
               from porchlight.tasks t join asked a on a.broker_id = t.broker_id and a.id = t.id
               where t.state in ('running', 'cancelling') and not t.is_workflow
                   and (a.fence is null or a.fence = t.attempt and a.worker_id = t.worker_id)
               order by t.broker_id, t.id for no key update of t
           ), kept as (
               update porchlight.tasks t
               set permille = coalesce(m.permille, t.permille),
                   step = case when m.steps is null then t.step else m.step end,
                   steps = coalesce(m.steps, t.steps),
                   message = coalesce(m.message, t.message),
                   partial = coalesce(m.partial::json, t.partial),
                   lease_until = case when m.is_report
                       then clock_timestamp() + make_interval(secs => t.lease_seconds)
                       else t.lease_until end,
                   reported_at = case when m.is_report
                       then clock_timestamp() else t.reported_at end,
                   told_at = case when m.tells then clock_timestamp() else t.told_at end,
                   is_untold = not m.tells and (m.is_report or t.is_untold),
                   version = t.version + m.tells::integer
               from mine m where t.broker_id = m.broker_id and t.id = m.id
               returning t.*, m.is_report, m.tells
           )
           select broker_id as "broker_id!", id as "id!", is_report as "is_report!", worker_id,
               attempt as "attempt!", state as "state!", lease_until as "lease_until!", parent_id,
               user_id as "user_id!", team_id, permille, step, steps, message,
               case when tells then partial::text end as partial, version as "version!",
               tells as "is_published!",
               case when is_untold then 1 + extract(milliseconds from
                   told_at + $10::float8 * interval '1 second' - clock_timestamp())::integer
               end as wait_ms
           from kept"#,
        &brokers as &[Option<&str>],
        &ids as &[Option<&str>],
        &workers as &[Option<&str>],
        &fences as &[Option<i32>],
        &percents as &[Option<i16>],
        &step_numbers as &[Option<i32>],
        &step_totals as &[Option<i32>],
        &messages as &[Option<&str>],
        &partials as &[Option<&str>],
        PROGRESS_INTERVAL.as_secs_f64(),
    )
    .fetch_all(connection)
    .await
}

impl UpdatedTaskRow {
    /// None when the row has a value that cannot be: values are checked before they are written.
    fn updated_task(self) -> Option<UpdatedTask> {
        let wait_ms = self.wait_ms.map(|ms| u64::try_from(ms).unwrap_or(0));
        let key = TaskKey {
            broker: BrokerId::parse(&self.broker_id).ok()?,
            task: self.id.parse().ok()?,
        };
        let mut updated = UpdatedTask {
            lease: self.lease(&key),
            key,
            state: self.state.parse().ok()?,
            lease_until: self.lease_until,
            version: self.version,
            parent: self.parent_id.as_deref().and_then(|id| id.parse().ok()),
            events: Vec::new(),
            publish_in: wait_ms.map(Duration::from_millis),
        };
        if self.is_published {
            updated.events = self.events(&updated)?;
        }
        Some(updated)
    }

    fn lease(&self, key: &TaskKey) -> Option<LeaseClaim> {
        let worker = self.worker_id.as_deref().filter(|_| self.is_report)?;
        Some(LeaseClaim {
            broker: key.broker.clone(),
            task: key.task.clone(),
            worker: worker.parse().ok()?,
            fence: self.attempt,
        })
    }

    fn events(self, updated: &UpdatedTask) -> Option<Vec<NewEvent>> {
        let partial = self.partial.map(RawValue::from_string).transpose();
        let progress = TaskProgress {
            percent: self.permille.and_then(|p| Percent::of_permille(p).ok()),
            steps: Steps::stored(self.step, self.steps),
            message: self.message.map(Message::stored),
            partial: partial.ok()?,
        };
        let team = self.team_id.as_deref().map(TeamId::parse).transpose();
        let team = team.ok()?;
        let event = ProgressEvent {
            id: &updated.key.task,
            user: &UserId::parse(&self.user_id).ok()?,
            team: team.as_ref(),
            state: updated.state,
            attempt: self.attempt,
            version: updated.version,
            progress: &progress,
        };
        Some(event.new_events().collect())
    }
}
