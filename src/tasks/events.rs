//! What is told of a task.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::row::{Lease, Progress, TaskRow};
use super::{Fault, Message, Percent, State, Title};
use crate::log::{Audience, NewEvent};
use crate::platform::{EventType, TaskId, TaskType, TeamId, UserId};

/// What waiting workers are told.
pub const AVAILABLE: &str = "ai:task:available";

/// A change of state, with all there is to know of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateData<'a> {
    task_id: &'a TaskId,
    task_type: &'a TaskType,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a Title>,
    state: State,
    attempt: i32,
    #[serde(flatten)]
    progress: ProgressData<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Fault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<&'a TaskId>,
}

/// How far a task has come, for those who know the rest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportData<'a> {
    task_id: &'a TaskId,
    state: State,
    attempt: i32,
    #[serde(flatten)]
    progress: ProgressData<'a>,
}

/// How far a task has come.
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

impl<'a> From<&'a Progress> for ProgressData<'a> {
    fn from(progress: &'a Progress) -> Self {
        Self {
            percent: progress.percent,
            step: progress.step.map(|(step, _)| step),
            steps: progress.step.map(|(_, steps)| steps),
            message: progress.message.as_ref(),
            partial: progress.partial.as_deref(),
        }
    }
}

/// A report on a task, as it is told.
pub(super) struct Reported<'a> {
    pub(super) id: &'a TaskId,
    pub(super) user: &'a UserId,
    pub(super) team: Option<&'a TeamId>,
    pub(super) state: State,
    pub(super) attempt: i32,
    pub(super) version: i64,
    pub(super) progress: &'a Progress,
}

impl Reported<'_> {
    /// The events that tell of it.
    pub(super) fn told(&self) -> impl Iterator<Item = NewEvent> + use<> {
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

/// The task is in its state now, as its user and maybe a team are told.
pub(super) fn entered(
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

/// How far it has come.
pub(super) fn progress(row: &TaskRow) -> impl Iterator<Item = NewEvent> + use<> {
    Reported {
        id: &row.id,
        user: &row.user,
        team: row.team.as_ref(),
        state: row.state,
        attempt: row.attempt,
        version: row.version,
        progress: &row.progress,
    }
    .told()
}

pub(super) fn available(row: &TaskRow) -> NewEvent {
    let data = json!({"taskId": row.id, "taskType": row.task_type});
    NewEvent::new(Audience::Workers, event_type("available")).with(&data)
}

/// Whoever does it is to stop.
pub(super) fn stop_working(row: &TaskRow, held: &Lease, verb: &str) -> NewEvent {
    let data = json!({"taskId": row.id, "taskType": row.task_type, "fence": row.attempt});
    NewEvent::new(Audience::User(held.worker.clone()), event_type(verb)).with(&data)
}

fn to_both(event: NewEvent, team: Option<&TeamId>) -> impl Iterator<Item = NewEvent> + use<> {
    let to_team = team.map(|team| NewEvent {
        audience: Audience::Team(team.clone()),
        ..event.clone()
    });
    [event].into_iter().chain(to_team)
}

fn event_type(verb: &str) -> EventType {
    EventType::parse(&format!("ai:task:{verb}")).expect("verbs are short")
}
