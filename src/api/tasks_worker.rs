//! `/tasks`, as workers see them: claim, report, end.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::problem::{Code, Problem};
use super::tasks::{kept_json, task_id};
use super::{Context, query};
use crate::identity::Caller;
use crate::log::timestamp;
use crate::platform::TaskType;
use crate::stream::UnknownScope;
use crate::tasks::claiming;
use crate::tasks::{ClaimRequest, Fault, LeaseClaim, Message, Outcome, Percent, Report, Task};

/// Types that one claim may name.
const MOST_TYPES: usize = 100;
/// Seconds that a claim may wait.
const WAIT_MOST: u64 = 60;
/// Steps that a task may have.
const MOST_STEPS: i32 = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClaimBody {
    types: Vec<TaskType>,
    #[serde(default)]
    wait_seconds: u64,
    lease_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgressBody {
    fence: i32,
    percent: Option<Percent>,
    step: Option<i32>,
    steps: Option<i32>,
    message: Option<Message>,
    partial: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteBody {
    fence: i32,
    result: Option<Box<RawValue>>,
    message: Option<Message>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailBody {
    fence: i32,
    error: Fault,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FenceBody {
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
pub async fn claim(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let body: ClaimBody = context.worker_body(&caller, &request, payload).await?;
    let (wanted, wait) = context.wanted_tasks(&caller, body)?;
    let app = &context.services;
    let place = (&app.streams, &context.dispatcher);
    let claimed = claiming::claim(place, &app.tasks, (&caller, &wanted), wait).await?;
    Ok(match claimed {
        None => HttpResponse::NoContent().finish(),
        Some(claimed) => HttpResponse::Ok().json(ClaimedJson {
            task: claimed.task,
            fence: claimed.fence,
            lease_until: timestamp(claimed.lease_until),
        }),
    })
}

/// Takes a report of progress.
pub async fn progress(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (web::Path<String>, web::Payload),
) -> Result<HttpResponse, Problem> {
    let body: ProgressBody = context.worker_body(&caller, &request, payload).await?;
    let holding = holding(&caller, &path, body.fence)?;
    let report = context.report(body)?;
    let go_on = context.services.tasks.report(&holding, report).await?;
    Ok(HttpResponse::Ok().json(json!({
        "cancel": go_on.cancel,
        "leaseUntil": timestamp(go_on.lease_until),
    })))
}

pub async fn complete(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (web::Path<String>, web::Payload),
) -> Result<HttpResponse, Problem> {
    let body: CompleteBody = context.worker_body(&caller, &request, payload).await?;
    let holding = holding(&caller, &path, body.fence)?;
    let result = context.findings(body.result.as_deref(), "result")?;
    let message = body.message;
    let outcome = Outcome::Completed { result, message };
    context.finish(&holding, outcome).await
}

/// The task could not be done.
pub async fn fail(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (web::Path<String>, web::Payload),
) -> Result<HttpResponse, Problem> {
    let body: FailBody = context.worker_body(&caller, &request, payload).await?;
    let holding = holding(&caller, &path, body.fence)?;
    context.finish(&holding, Outcome::Failed(body.error)).await
}

/// The worker has stopped, as it was asked to.
pub async fn cancelled(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (web::Path<String>, web::Payload),
) -> Result<HttpResponse, Problem> {
    let body: FenceBody = context.worker_body(&caller, &request, payload).await?;
    let holding = holding(&caller, &path, body.fence)?;
    context.finish(&holding, Outcome::Cancelled).await
}

/// The caller's hold on the task of a path.
pub(super) fn holding(caller: &Caller, path: &str, fence: i32) -> Result<LeaseClaim, Problem> {
    Ok(LeaseClaim {
        broker: caller.broker.clone(),
        task: task_id(path)?,
        worker: caller.user.clone(),
        fence,
    })
}

impl Context {
    /// A body that only workers send.
    pub(super) async fn worker_body<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<T, Problem> {
        if !caller.may_work() {
            return Err(UnknownScope::NoWorker.into());
        }
        query::none(request)?;
        self.body(request, payload).await
    }

    fn wanted_tasks(
        &self,
        caller: &Caller,
        body: ClaimBody,
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
        let step = match (body.step, body.steps) {
            (None, None) => None,
            (Some(step), Some(steps)) if (0..=steps).contains(&step) && steps <= MOST_STEPS => {
                Some((step, steps))
            }
            _ => {
                let detail = format!("step and steps come together: 0 to steps of {MOST_STEPS}.");
                return Err(Problem::bad_request(Code::InvalidBody, detail).at("step"));
            }
        };
        Ok(Report {
            percent: body.percent,
            step,
            message: body.message,
            partial: self.findings(body.partial.as_deref(), "partial")?,
        })
    }

    /// What was found, if an event can carry it.
    fn findings(
        &self,
        raw: Option<&RawValue>,
        field: &str,
    ) -> Result<Option<Box<RawValue>>, Problem> {
        let kept = raw.map(|raw| kept_json(raw, field)).transpose()?;
        let most = self.services.tasks.rules().event_bytes;
        if kept.as_ref().is_some_and(|kept| kept.get().len() > most) {
            let detail = format!("{field} has {most} bytes at the most, to fit an event.");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(Problem::new(status, Code::EventTooLarge, detail).at(field));
        }
        Ok(kept)
    }

    async fn finish(
        &self,
        holding: &LeaseClaim,
        outcome: Outcome,
    ) -> Result<HttpResponse, Problem> {
        let state = self.services.tasks.finish(holding, outcome).await?;
        let answer = json!({"taskId": holding.task, "state": state});
        Ok(HttpResponse::Ok().json(answer))
    }
}
