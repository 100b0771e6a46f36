//! The events of a task.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::row::{Lease, TaskProgress, TaskRow};
use super::{Message, Percent, TaskFault, TaskState, Title};
use crate::log::{Audience, NewEvent};
use crate::platform::{EventType, TaskId, TaskType, TeamId, UserId};

/// The event that waiting workers receive.
pub const AVAILABLE: &str = "ai:task:available";

/// A change of state, with all that is known about the task.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateData<'a> {
    task_id: &'a TaskId,
    task_type: &'a TaskType,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a Title>,
    state: TaskState,
    attempt: i32,
    #[serde(flatten)]
    progress: ProgressData<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a TaskFault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<&'a TaskId>,
}

/// The progress of a task that the receiver knows already.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportData<'a> {
    task_id: &'a TaskId,
    state: TaskState,
    attempt: i32,
    #[serde(flatten)]
    progress: ProgressData<'a>,
}

#[derive(Serialize)]
pub(super) struct ProgressData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<Percent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<&'a RawValue>,
}

impl<'a> From<&'a TaskProgress> for ProgressData<'a> {
    fn from(progress: &'a TaskProgress) -> Self {
        Self {
            percent: progress.percent,
            step: progress.steps.map(|steps| steps.step),
            steps: progress.steps.map(|steps| steps.total),
            message: progress.message.as_ref(),
            partial: progress.partial.as_deref(),
        }
    }
}

/// What the event of a report is made of.
pub(super) struct ProgressEvent<'a> {
    pub(super) id: &'a TaskId,
    pub(super) user: &'a UserId,
    pub(super) team: Option<&'a TeamId>,
    pub(super) state: TaskState,
    pub(super) attempt: i32,
    pub(super) version: i64,
    pub(super) progress: &'a TaskProgress,
}

impl ProgressEvent<'_> {
    /// The event for the user, and the same for the team.
    pub(super) fn new_events(&self) -> impl Iterator<Item = NewEvent> + use<> {
        let data = to_raw_value(&ReportData {
            task_id: self.id,
            state: self.state,
            attempt: self.attempt,
            progress: self.progress.into(),
        });
        let event = NewEvent {
            data: data.ok().map(Arc::from),
            version: Some(self.version),
            ..NewEvent::new(Audience::User(self.user.clone()), event_type("progress"))
        };
        to_both(event, self.team)
    }
}

/// The events of a change of state, for the user and the team.
pub(super) fn state_changed(
    row: &TaskRow,
    verb: &str,
    by: Option<&UserId>,
) -> impl Iterator<Item = NewEvent> + use<> {
    let data = to_raw_value(&StateData {
        task_id: &row.id,
        task_type: &row.task_type,
        title: row.title.as_ref(),
        state: row.state,
        attempt: row.attempt,
        progress: (&row.progress).into(),
        result: row.result.as_deref(),
        error: row.error.as_ref(),
        parent_id: row.parent.as_ref(),
        retry_of: row.retry_of.as_ref(),
    });
    let event = NewEvent {
        data: data.ok().map(Arc::from),
        version: Some(row.version),
        user: by.cloned(),
        ..NewEvent::new(Audience::User(row.user.clone()), event_type(verb))
    };
    to_both(event, row.team.as_ref())
}

pub(super) fn progress(row: &TaskRow) -> impl Iterator<Item = NewEvent> + use<> {
    ProgressEvent {
        id: &row.id,
        user: &row.user,
        team: row.team.as_ref(),
        state: row.state,
        attempt: row.attempt,
        version: row.version,
        progress: &row.progress,
    }
    .new_events()
}

pub(super) fn available(row: &TaskRow) -> NewEvent {
    let data = json!({"taskId": row.id, "taskType": row.task_type});
    NewEvent::new(Audience::Workers, event_type("available")).with(&data)
}

/// Tells the worker to stop.
pub(super) fn stop_working(row: &TaskRow, lease: &Lease, verb: &str) -> NewEvent {
    let data = json!({"taskId": row.id, "taskType": row.task_type, "fence": row.attempt});
    NewEvent::new(Audience::User(lease.worker.clone()), event_type(verb)).with(&data)
}

fn to_both(event: NewEvent, team: Option<&TeamId>) -> impl Iterator<Item = NewEvent> + use<> {
    let to_team = team.map(|team| NewEvent {
        audience: Audience::Team(team.clone()),
        ..event.clone()
    });
    [event].into_iter().chain(to_team)
}

fn event_type(verb: &str) -> EventType {
    EventType::parse(&format!("ai:task:{verb}")).expect("a verb makes a valid event type")
}
