//! The JSON of a task.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::events::ProgressData;
use super::row::TaskRow;
use super::{TaskFault, TaskState, Title};
use crate::log::timestamp;
use crate::platform::{TaskId, TaskType, TeamId, UserId};

/// A task. In lists it has neither parameters nor results.
#[derive(Clone, Debug)]
pub struct Task {
    pub(super) row: TaskRow,
    params: Option<Box<RawValue>>,
}

impl Task {
    pub(super) fn whole(row: TaskRow, params: Option<Box<RawValue>>) -> Self {
        Self { row, params }
    }

    /// A task of a list: its large columns were not read.
    pub(super) fn listed(row: TaskRow) -> Self {
        Self { row, params: None }
    }

    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.row.id
    }

    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.row.user
    }

    #[must_use]
    pub fn task_type(&self) -> &TaskType {
        &self.row.task_type
    }

    #[must_use]
    pub fn state(&self) -> TaskState {
        self.row.state
    }

    #[must_use]
    pub fn params(&self) -> Option<&RawValue> {
        self.params.as_deref()
    }

    /// The number of the current attempt, which is the fence.
    #[must_use]
    pub fn attempt(&self) -> i32 {
        self.row.attempt
    }
}

/// The JSON of a task in the answer to a request, which may be repeated.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskAnswer(Box<RawValue>);

impl TaskAnswer {
    pub(super) fn of(task: &Task) -> sqlx::Result<Self> {
        let json = serde_json::value::to_raw_value(task);
        json.map(Self)
            .map_err(|error| sqlx::Error::Encode(error.into()))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskJson<'a> {
    id: &'a TaskId,
    r#type: &'a TaskType,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a Title>,
    state: TaskState,
    user_id: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<&'a TeamId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
    attempt: i32,
    max_attempts: i32,
    #[serde(flatten)]
    progress: ProgressData<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a TaskFault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a TaskId>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_workflow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<&'a TaskId>,
    version: i64,
    #[serde(serialize_with = "moment")]
    created_at: Option<OffsetDateTime>,
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    started_at: Option<OffsetDateTime>,
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    cancel_requested_at: Option<OffsetDateTime>,
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    run_after: Option<OffsetDateTime>,
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    ended_at: Option<OffsetDateTime>,
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = &self.row;
        TaskJson {
            id: &row.id,
            r#type: &row.task_type,
            title: row.title.as_ref(),
            state: row.state,
            user_id: &row.user,
            team_id: row.team.as_ref(),
            params: self.params.as_deref(),
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            progress: (&row.progress).into(),
            result: row.result.as_deref(),
            error: row.error.as_ref(),
            parent_id: row.parent.as_ref(),
            is_workflow: row.is_workflow,
            retry_of: row.retry_of.as_ref(),
            version: row.version,
            created_at: Some(row.created_at),
            started_at: row.started_at,
            cancel_requested_at: row.cancel_requested_at,
            run_after: row.run_after,
            ended_at: row.ended_at,
        }
        .serialize(serializer)
    }
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn moment<S: Serializer>(at: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.serialize_str(&timestamp(*at)),
        None => serializer.serialize_none(),
    }
}
