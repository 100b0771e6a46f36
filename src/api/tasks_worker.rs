//! `/tasks` for workers: claim a task, report progress, finish it.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::Context;
use super::body::Json;
use super::caller_rules::TaskWorker;
use super::client_address::Client;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::tasks::storable_json;
use crate::directory::Member;
use crate::identity::Caller;
use crate::log::timestamp;
use crate::platform::{TaskId, TaskType};
use crate::tasks::{ClaimRequest, Completion, LeaseClaim, Message, Percent, Report, Steps};
use crate::tasks::{Task, TaskFault, TaskOutcome, WaitingClaim};

/// The most types of a claim.
const MOST_TYPES: usize = 100;
/// The longest wait of a claim, in seconds.
const WAIT_MOST: u64 = 60;
/// The most steps of a task.
const MOST_STEPS: i32 = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TaskClaimBody {
    types: Vec<TaskType>,
    #[serde(default)]
    wait_seconds: u64,
    lease_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgressBody {
    fence: i32,
    percent: Option<Percent>,
    step: Option<i32>,
    steps: Option<i32>,
    message: Option<Message>,
    partial: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CompleteBody {
    fence: i32,
    result: Option<Box<RawValue>>,
    message: Option<Message>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FailBody {
    fence: i32,
    error: TaskFault,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FenceBody {
    fence: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClaimedJson {
    task: Task,
    fence: i32,
    lease_until: String,
}

/// Claims a task, or waits for one.
pub(super) async fn claim(
    TaskWorker { caller, .. }: TaskWorker,
    Client(client): Client,
    context: Context,
    _: NoQuery,
    Json(body): Json<TaskClaimBody>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (wanted, wait) = context.claim_request(&caller, body)?;
    let services = &context.services;
    let claim = WaitingClaim {
        services: &services.streams,
        dispatcher: &context.dispatcher,
        tasks: &services.tasks,
        caller: &caller,
        request: &wanted,
        wait,
        client,
        member: request.extensions().get::<Member>().cloned(),
    };
    let claimed = claim.run().await?;
    if claimed.is_none() {
        // The token may have been revoked while the request waited.
        services.callers.verifier.check_again(&caller)?;
    }
    Ok(match claimed {
        None => HttpResponse::NoContent().finish(),
        Some(claimed) => HttpResponse::Ok().json(ClaimedJson {
            task: claimed.task,
            fence: claimed.fence,
            lease_until: timestamp(claimed.lease_until),
        }),
    })
}

pub(super) async fn progress(
    TaskWorker { caller, .. }: TaskWorker,
    context: Context,
    id: TaskId,
    _: NoQuery,
    Json(body): Json<ProgressBody>,
) -> Result<HttpResponse, Problem> {
    let claim = lease_claim(&caller, id, body.fence);
    let report = context.report(body)?;
    let lease = context.services.tasks.report(&claim, report).await?;
    Ok(HttpResponse::Ok().json(json!({
        "cancel": lease.cancel,
        "leaseUntil": timestamp(lease.lease_until),
        "version": lease.version,
    })))
}

pub(super) async fn complete(
    TaskWorker { caller, .. }: TaskWorker,
    context: Context,
    id: TaskId,
    _: NoQuery,
    Json(body): Json<CompleteBody>,
) -> Result<HttpResponse, Problem> {
    let claim = lease_claim(&caller, id, body.fence);
    let result = context.event_json(body.result.as_deref(), "result")?;
    let message = body.message;
    let outcome = TaskOutcome::Completed(Completion { result, message });
    context.finish(&claim, outcome).await
}

pub(super) async fn fail(
    TaskWorker { caller, .. }: TaskWorker,
    context: Context,
    id: TaskId,
    _: NoQuery,
    Json(body): Json<FailBody>,
) -> Result<HttpResponse, Problem> {
    let claim = lease_claim(&caller, id, body.fence);
    context
        .finish(&claim, TaskOutcome::Failed(body.error))
        .await
}

/// Ends a task whose cancellation was requested: the worker has stopped.
pub(super) async fn cancelled(
    TaskWorker { caller, .. }: TaskWorker,
    context: Context,
    id: TaskId,
    _: NoQuery,
    Json(body): Json<FenceBody>,
) -> Result<HttpResponse, Problem> {
    let claim = lease_claim(&caller, id, body.fence);
    context.finish(&claim, TaskOutcome::Cancelled).await
}

/// What the caller claims to hold: the lease of a task under a fence.
pub(super) fn lease_claim(caller: &Caller, task: TaskId, fence: i32) -> LeaseClaim {
    LeaseClaim {
        broker: caller.broker.clone(),
        task,
        worker: caller.user.clone(),
        fence,
    }
}

impl Context {
    /// The request for a task, and how long it waits.
    fn claim_request(
        &self,
        caller: &Caller,
        body: TaskClaimBody,
    ) -> Result<(ClaimRequest, Duration), Problem> {
        let bad =
            |field: &str, detail: String| Problem::bad_request(Code::InvalidBody, detail).at(field);
        if !(1..=MOST_TYPES).contains(&body.types.len()) {
            let detail = format!("A claim names 1 to {MOST_TYPES} types.");
            return Err(bad("types", detail));
        }
        if body.wait_seconds > WAIT_MOST {
            let detail = format!("A claim waits 0 to {WAIT_MOST} seconds.");
            return Err(bad("waitSeconds", detail));
        }
        let rules = self.services.tasks.rules();
        let lease_seconds = body.lease_seconds.unwrap_or(rules.usual_lease_seconds);
        let range = &rules.lease_seconds;
        if !range.contains(&lease_seconds) {
            let detail = format!(
                "leaseSeconds: a lease has {} to {} seconds.",
                range.start(),
                range.end()
            );
            let problem = Problem::bad_request(Code::InvalidLease, detail);
            return Err(problem.at("leaseSeconds"));
        }
        let mut types = body.types;
        types.sort();
        types.dedup();
        let wanted = ClaimRequest {
            worker: caller.user.clone(),
            types,
            lease_seconds,
        };
        Ok((wanted, Duration::from_secs(body.wait_seconds)))
    }

    fn report(&self, body: ProgressBody) -> Result<Report, Problem> {
        let steps = match (body.step, body.steps) {
            (None, None) => None,
            (Some(step), Some(total)) if (0..=total).contains(&step) && total <= MOST_STEPS => {
                Some(Steps { step, total })
            }
            _ => {
                let detail = format!("step and steps come together: 0 to steps of {MOST_STEPS}.");
                return Err(Problem::bad_request(Code::InvalidBody, detail).at("step"));
            }
        };
        Ok(Report {
            percent: body.percent,
            steps,
            message: body.message,
            partial: self.event_json(body.partial.as_deref(), "partial")?,
        })
    }

    /// JSON that is small enough for an event.
    fn event_json(
        &self,
        raw: Option<&RawValue>,
        field: &str,
    ) -> Result<Option<Box<RawValue>>, Problem> {
        let json = raw.map(|raw| storable_json(raw, field)).transpose()?;
        let most = self.services.tasks.rules().event_bytes;
        if json.as_ref().is_some_and(|json| json.get().len() > most) {
            let detail = format!("{field} has {most} bytes at the most, to fit an event.");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(Problem::new(status, Code::EventTooLarge, detail).at(field));
        }
        Ok(json)
    }

    async fn finish(
        &self,
        claim: &LeaseClaim,
        outcome: TaskOutcome,
    ) -> Result<HttpResponse, Problem> {
        let ended = self.services.tasks.finish(claim, outcome).await?;
        Ok(HttpResponse::Ok().json(json!({
            "taskId": claim.task,
            "state": ended.state,
            "version": ended.version,
        })))
    }
}
