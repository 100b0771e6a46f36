//! `/tasks/{id}/output`: what a model writes, chunk by chunk, and the stream of it.

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::problem::{Code, Problem};
use super::streams::Asker;
use super::tasks::task_id;
use super::tasks_worker::holding;
use super::{Context, query, streams};
use crate::directory::Member;
use crate::fanout::{CloseReason, Encoding};
use crate::identity::Caller;
use crate::log::timestamp;
use crate::tasks::OutputPosition;
use crate::tasks::output::stream::OutputOpening;
use crate::tasks::{TaskError, output};

/// Output is neither compressed nor without names.
const ENCODING: Encoding = Encoding {
    gzip: false,
    named: true,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputBody {
    fence: i32,
    offset: i32,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputQuery {
    offset: Option<String>,
}

pub async fn write(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (web::Path<String>, web::Payload),
) -> Result<HttpResponse, Problem> {
    let body: OutputBody = context.worker_body(&caller, &request, payload).await?;
    let holding = holding(&caller, &path, body.fence)?;
    let bad = |field: &str, detail| Problem::bad_request(Code::InvalidBody, detail).at(field);
    if body.offset < 0 {
        return Err(bad("offset", "An offset is 0 or more."));
    }
    // Postgres keeps no NUL in a text.
    if body.text.is_empty() || body.text.contains('\0') {
        return Err(bad(
            "text",
            "The text has at least one character, and no NUL.",
        ));
    }
    let chunk = (body.offset, &*body.text);
    let kept = context.services.tasks.write_output(&holding, chunk).await?;
    Ok(HttpResponse::Ok().json(json!({
        "offset": kept.offset,
        "cancel": kept.cancel,
        "leaseUntil": timestamp(kept.lease_until),
    })))
}

/// Streams the output from a byte on, to the end of the task.
pub async fn read(
    request: HttpRequest,
    caller: Asker,
    context: Context,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let later = |reason| Ok(streams::later(&context, ENCODING, reason));
    let caller = match caller {
        Ok(caller) => caller,
        Err(problem) if problem.is_for_later() => return later(CloseReason::Unavailable),
        Err(problem) => return Err(problem),
    };
    let id = task_id(&path)?;
    let query: OutputQuery = query::parse(&request)?;
    let byte = offset(query.offset.as_deref())?;
    let stood = stood(&request);
    let services = &context.services.streams;
    if let Some(reason) = output::stream::must_wait(services, &context.dispatcher) {
        return later(reason);
    }
    let tasks = &context.services.tasks;
    let reader = match tasks.read_output((&caller, &id), byte, stood).await {
        Ok(reader) => reader,
        Err(TaskError::Database(error)) => {
            tracing::warn!(%error, "a stream of output could not be opened");
            return later(CloseReason::Unavailable);
        }
        Err(TaskError::Busy) => return later(CloseReason::Unavailable),
        Err(TaskError::WrongOffset(end)) => return Err(beyond(end)),
        Err(error) => return Err(error.into()),
    };
    let opening = OutputOpening {
        caller: &caller,
        member: request.extensions().get::<Member>().cloned(),
        reader,
    };
    match output::stream::open(services, &context.dispatcher, opening) {
        Ok(stream) => Ok(streams::head(ENCODING).streaming(stream.into_bytes())),
        Err(reason) => later(reason),
    }
}

fn beyond(end: i32) -> Problem {
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let detail = format!("There are {end} bytes of output so far.");
    Problem::new(status, Code::WrongOffset, detail)
        .at("offset")
        .showing("offset", &end)
}

fn offset(text: Option<&str>) -> Result<i32, Problem> {
    let Some(text) = text else { return Ok(0) };
    let byte = text.parse().ok();
    let byte = byte.filter(|byte| (0..=output::MOST_BYTES).contains(byte));
    byte.ok_or_else(|| {
        let reason = format!("must be a number from 0 to {}", output::MOST_BYTES);
        Problem::bad_parameter("offset", reason)
    })
}

/// Where a client that comes back stood. One that makes no sense stood nowhere, and is told to
/// begin again: an error would end a browser's stream for good.
fn stood(request: &HttpRequest) -> Option<OutputPosition> {
    let id = request.headers().get("Last-Event-ID")?;
    if id.is_empty() {
        return None;
    }
    let place = id.to_str().ok().and_then(|id| {
        let (attempt, byte) = id.split_once('-')?;
        let (attempt, byte) = (attempt.parse().ok()?, byte.parse().ok()?);
        (byte >= 0).then_some(OutputPosition { attempt, byte })
    });
    let (attempt, byte) = (-1, 0);
    Some(place.unwrap_or(OutputPosition { attempt, byte }))
}
