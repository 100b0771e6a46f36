//! The problems of tasks: why a request is refused, and what the client can do.

use actix_web::http::StatusCode;

use super::problem::{Code, Problem};
use crate::log::PublishError;
use crate::stream::UnknownScope;
use crate::tasks::ClaimError;
use crate::tasks::{Lost, MOST_CHILDREN, ParentError, TaskError, TaskState, WrongParams, output};

impl From<TaskError> for Problem {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Unknown(id) => {
                let detail = format!("There is no task {id} that you may see.");
                Self::new(StatusCode::NOT_FOUND, Code::UnknownTask, detail)
            }
            TaskError::NotYours(id) => {
                let detail = format!("The task {id} is another user's: you may only see it.");
                Self::new(StatusCode::FORBIDDEN, Code::NotYourTask, detail)
            }
            TaskError::Parent(error) => parent_problem(&error).at("parent"),
            TaskError::UnknownTeam(team) => UnknownScope::Team(team).into(),
            TaskError::WrongParams(wrong) => wrong_params(*wrong),
            TaskError::WrongState(state) => wrong_state(state),
            TaskError::AlreadyRetried => {
                let detail = "The task was retried before. Retry its successor instead.";
                Self::new(StatusCode::CONFLICT, Code::AlreadyRetried, detail)
            }
            TaskError::Quota(quota) => quota.into(),
            TaskError::KeyReused => PublishError::KeyReused.into(),
            TaskError::LeaseLost(lost) => lease_lost(lost),
            TaskError::WrongOffset(offset) => {
                let detail = format!("The output continues at byte {offset}, or differs there.");
                Self::new(StatusCode::CONFLICT, Code::WrongOffset, detail)
                    .at("offset")
                    .with("offset", &offset)
            }
            TaskError::OutputTooLarge => {
                let most = output::MOST_BYTES;
                let detail = format!("A task has {most} bytes of output at the most.");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::OutputTooLarge, detail).at("text")
            }
            TaskError::Busy => Self::unavailable(
                Code::Busy,
                "Another request is changing this task, or too many reports wait. Nothing was \
                 changed. Try again.",
            ),
            TaskError::Unconfirmed => Self::unavailable(
                Code::Unconfirmed,
                "The database did not confirm the report in time. Send the next one.",
            ),
            TaskError::Database(error) => Self::database(&error),
        }
    }
}

fn parent_problem(error: &ParentError) -> Problem {
    match error {
        ParentError::IsChild(id) => {
            let detail =
                format!("The task {id} is a step of a workflow and has no steps of its own.");
            Problem::bad_request(Code::ParentIsChild, detail)
        }
        ParentError::WrongState(state) => {
            let detail = format!(
                "The parent is {state}. Steps can be added to a queued task or to a running workflow."
            );
            Problem::new(StatusCode::CONFLICT, Code::WrongState, detail)
                .with("state", &state.as_str())
        }
        ParentError::TooManyChildren => {
            let detail = format!("A workflow has {MOST_CHILDREN} steps at the most.");
            Problem::new(StatusCode::CONFLICT, Code::TooManyChildren, detail)
        }
        ParentError::Unknown(_) => {
            let detail = "You have no such task.";
            Problem::new(StatusCode::NOT_FOUND, Code::UnknownTask, detail)
        }
    }
}

fn wrong_params(wrong: WrongParams) -> Problem {
    let problem = Problem::bad_request(Code::InvalidParams, wrong.detail).at(wrong.field);
    problem.with("reason", &wrong.reason)
}

fn wrong_state(state: TaskState) -> Problem {
    let detail = format!("The task is {state}: its state does not allow this.");
    Problem::new(StatusCode::CONFLICT, Code::WrongState, detail).with("state", &state.as_str())
}

fn lease_lost(lost: Lost) -> Problem {
    let why = match lost {
        Lost::Cancelled => "The task was cancelled.",
        Lost::Ended => "The task has ended.",
        Lost::Expired => "The lease expired, and the task waits for its next attempt.",
        Lost::Claimed => "Another worker has claimed the task.",
    };
    let detail = format!("{why} Stop working on it: your reports are no longer accepted.");
    Problem::new(StatusCode::CONFLICT, Code::LeaseLost, detail).with("reason", &lost.as_str())
}

impl From<ClaimError> for Problem {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Scope(error) => error.into(),
            ClaimError::Refused(refusal) => refusal.into(),
            ClaimError::Brokerage(error) => error.into(),
            ClaimError::Task(error) => error.into(),
            ClaimError::Unavailable => Self::unavailable(
                Code::DatabaseUnavailable,
                "The log cannot be read at the moment. Try again.",
            ),
        }
    }
}
