//! The columns of a row as the driver returns them, and their conversion.

use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::{Lease, Steps, TaskProgress, TaskRow};
use crate::platform::InvalidId;
use crate::tasks::{Message, Percent, Title};

/// Fields are named like the columns.
pub(in crate::tasks) struct StoredTask {
    pub(in crate::tasks) id: String,
    pub(in crate::tasks) user_id: String,
    pub(in crate::tasks) team_id: Option<String>,
    pub(in crate::tasks) r#type: String,
    pub(in crate::tasks) title: Option<String>,
    pub(in crate::tasks) parent_id: Option<String>,
    pub(in crate::tasks) is_workflow: bool,
    pub(in crate::tasks) retry_of: Option<String>,
    pub(in crate::tasks) state: String,
    pub(in crate::tasks) permille: Option<i16>,
    pub(in crate::tasks) step: Option<i32>,
    pub(in crate::tasks) steps: Option<i32>,
    pub(in crate::tasks) message: Option<String>,
    pub(in crate::tasks) partial: Option<String>,
    pub(in crate::tasks) result: Option<String>,
    pub(in crate::tasks) error: Option<String>,
    pub(in crate::tasks) attempt: i32,
    pub(in crate::tasks) skipped_attempts: i32,
    pub(in crate::tasks) max_attempts: i32,
    pub(in crate::tasks) worker_id: Option<String>,
    pub(in crate::tasks) lease_seconds: Option<i32>,
    pub(in crate::tasks) lease_until: Option<OffsetDateTime>,
    pub(in crate::tasks) run_after: Option<OffsetDateTime>,
    pub(in crate::tasks) cancel_requested_at: Option<OffsetDateTime>,
    pub(in crate::tasks) cancel_requested_by: Option<String>,
    pub(in crate::tasks) reported_at: Option<OffsetDateTime>,
    pub(in crate::tasks) told_at: Option<OffsetDateTime>,
    pub(in crate::tasks) is_untold: bool,
    pub(in crate::tasks) output_bytes: i32,
    pub(in crate::tasks) version: i64,
    pub(in crate::tasks) created_at: OffsetDateTime,
    pub(in crate::tasks) started_at: Option<OffsetDateTime>,
    pub(in crate::tasks) ended_at: Option<OffsetDateTime>,
    pub(in crate::tasks) now: OffsetDateTime,
}

/// The error for a value that this service does not write.
pub(super) fn unreadable(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

pub(super) fn json(text: String) -> sqlx::Result<Box<RawValue>> {
    RawValue::from_string(text).map_err(unreadable)
}

fn name<T>(text: &str) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err = InvalidId>,
{
    text.parse().map_err(unreadable)
}

fn maybe_name<T>(text: Option<&String>) -> sqlx::Result<Option<T>>
where
    T: std::str::FromStr<Err = InvalidId>,
{
    text.map(|text| name(text)).transpose()
}

impl StoredTask {
    fn progress(&mut self) -> sqlx::Result<TaskProgress> {
        let percent = self.permille.map(Percent::of_permille).transpose();
        Ok(TaskProgress {
            percent: percent.map_err(unreadable)?,
            steps: Steps::stored(self.step, self.steps),
            message: self.message.take().map(Message::stored),
            partial: self.partial.take().map(json).transpose()?,
        })
    }

    fn lease(&self) -> sqlx::Result<Option<Lease>> {
        let (Some(worker), Some(seconds), Some(until)) =
            (&self.worker_id, self.lease_seconds, self.lease_until)
        else {
            return Ok(None);
        };
        Ok(Some(Lease {
            worker: name(worker)?,
            seconds,
            until,
        }))
    }
}

impl TryFrom<StoredTask> for TaskRow {
    type Error = sqlx::Error;

    fn try_from(mut stored: StoredTask) -> sqlx::Result<Self> {
        let error = stored.error.as_deref().map(serde_json::from_str);
        Ok(Self {
            progress: stored.progress()?,
            lease: stored.lease()?,
            id: name(&stored.id)?,
            user: name(&stored.user_id)?,
            team: maybe_name(stored.team_id.as_ref())?,
            task_type: name(&stored.r#type)?,
            title: stored.title.map(Title::stored),
            parent: maybe_name(stored.parent_id.as_ref())?,
            is_workflow: stored.is_workflow,
            retry_of: maybe_name(stored.retry_of.as_ref())?,
            state: stored.state.parse().map_err(unreadable)?,
            result: stored.result.map(json).transpose()?,
            error: error.transpose().map_err(unreadable)?,
            attempt: stored.attempt,
            skipped_attempts: stored.skipped_attempts,
            max_attempts: stored.max_attempts,
            run_after: stored.run_after,
            cancel_requested_at: stored.cancel_requested_at,
            cancel_requested_by: maybe_name(stored.cancel_requested_by.as_ref())?,
            reported_at: stored.reported_at,
            published_at: stored.told_at,
            has_unpublished: stored.is_untold,
            output_bytes: stored.output_bytes,
            version: stored.version,
            created_at: stored.created_at,
            started_at: stored.started_at,
            ended_at: stored.ended_at,
            now: stored.now,
        })
    }
}
