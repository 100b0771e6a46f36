//! `/tasks/{id}/output`: workers append the output of a task; users read it as a stream.

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::body::Json;
use super::caller_rules::TaskWorker;
use super::problem::{Code, Problem};
use super::query::{NoQuery, Query};
use super::stream_caller::StreamCaller;
use super::tasks_worker::lease_claim;
use super::{Context, access, streams};
use crate::directory::Member;
use crate::fanout::{CloseReason, StreamEncoding};
use crate::identity::Caller;
use crate::log::timestamp;
use crate::platform::TaskId;
use crate::stream::{PassingRefusal, RefusedStream};
use crate::tasks::output::stream::OutputOpening;
use crate::tasks::{OutputChunk, OutputPosition, OutputReader, OutputStart};
use crate::tasks::{TaskError, output};

/// Output is never compressed, and its events always have names.
const ENCODING: StreamEncoding = StreamEncoding {
    chunked: false,
    gzip: false,
    named: true,
};

/// A position that no output has: attempts are numbered from 1.
const NO_POSITION: OutputPosition = OutputPosition {
    attempt: -1,
    byte: 0,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputBody {
    fence: i32,
    offset: i32,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputQuery {
    offset: Option<String>,
    heartbeat: Option<String>,
    /// [`StreamCaller`] reads it.
    #[serde(rename = "ticket")]
    _ticket: Option<IgnoredAny>,
}

pub(super) async fn write(
    TaskWorker { caller, .. }: TaskWorker,
    context: Context,
    id: TaskId,
    _: NoQuery,
    Json(body): Json<OutputBody>,
) -> Result<HttpResponse, Problem> {
    let claim = lease_claim(&caller, id, body.fence);
    let bad = |field: &str, detail| Problem::bad_request(Code::InvalidBody, detail).at(field);
    if body.offset < 0 {
        return Err(bad("offset", "An offset is 0 or more."));
    }
    // Postgres cannot store NUL in a text.
    if body.text.is_empty() || body.text.contains('\0') {
        return Err(bad(
            "text",
            "The text has at least one character, and no NUL.",
        ));
    }
    let chunk = OutputChunk {
        offset: body.offset,
        text: &body.text,
    };
    let written = context.services.tasks.write_output(&claim, chunk).await?;
    Ok(HttpResponse::Ok().json(json!({
        "offset": written.offset,
        "cancel": written.cancel,
        "leaseUntil": timestamp(written.lease_until),
    })))
}

/// Streams the output from a byte offset to the end of the task.
pub(super) async fn read(
    request: HttpRequest,
    StreamCaller(caller): StreamCaller,
    context: Context,
    id: Result<TaskId, Problem>,
    query: Result<Query<OutputQuery>, Problem>,
) -> Result<HttpResponse, Problem> {
    let caller = match caller {
        Ok(caller) => caller,
        Err(problem) => {
            let reason = problem.passing_reason().ok_or(problem)?;
            return Ok(streams::later(&context, ENCODING, reason));
        }
    };
    let request_id = access::request_id(&request);
    let later = |refusal: PassingRefusal| {
        let refused = RefusedStream {
            id: &request_id,
            broker: &caller.broker,
            refusal,
        };
        Ok(streams::refused_for_now(&context, ENCODING, refused))
    };
    let id = id?;
    let Query(query) = query?;
    let byte = offset(query.offset.as_deref())?;
    let heartbeat = streams::heartbeat(&context, query.heartbeat.as_deref())?;
    let start = last_position(&request).map_or(OutputStart::Byte(byte), OutputStart::Resume);
    let services = &context.services.streams;
    if let Some(reason) = output::stream::must_wait(services, &context.dispatcher) {
        return later(reason.into());
    }
    let Some(reader) = open_reader(&context, &caller, &id, start).await? else {
        return later(CloseReason::Unavailable.into());
    };
    let opening = OutputOpening {
        caller: &caller,
        member: request.extensions().get::<Member>().cloned(),
        client: context.services.limits.rates.client(&request),
        task: &id,
        reader,
        heartbeat,
    };
    match output::stream::open(services, &context.dispatcher, opening).await {
        Ok(stream) => {
            if let Some(connection) = streams::connection(&request) {
                connection.serve(stream.served());
            }
            Ok(streams::head(ENCODING).streaming(stream.into_bytes()))
        }
        Err(refusal) => later(refusal),
    }
}

/// A reader of the output. `None`: another try may succeed.
async fn open_reader(
    context: &Context,
    caller: &Caller,
    id: &TaskId,
    start: OutputStart,
) -> Result<Option<OutputReader>, Problem> {
    let tasks = &context.services.tasks;
    match tasks.read_output(caller, id, start).await {
        Ok(reader) => Ok(Some(reader)),
        Err(TaskError::Database(error)) => {
            tracing::warn!(%error, "a stream of output could not be opened");
            Ok(None)
        }
        Err(TaskError::Busy) => Ok(None),
        Err(TaskError::WrongOffset(end)) => Err(offset_beyond(end)),
        Err(error) => Err(error.into()),
    }
}

fn offset_beyond(end: i32) -> Problem {
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let detail = format!("There are {end} bytes of output so far.");
    Problem::new(status, Code::WrongOffset, detail)
        .at("offset")
        .with("offset", &end)
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

/// The position that a reconnecting client has reached. An id that cannot be read becomes a position
/// that no output has, so that the stream starts again: an error would end a browser's stream for good.
pub(super) fn last_position(request: &HttpRequest) -> Option<OutputPosition> {
    let id = request.headers().get("Last-Event-ID")?;
    if id.is_empty() {
        return None;
    }
    let position = id.to_str().ok().and_then(|id| {
        let (attempt, byte) = id.split_once('-')?;
        let (attempt, byte) = (attempt.parse().ok()?, byte.parse().ok()?);
        (byte >= 0).then_some(OutputPosition { attempt, byte })
    });
    Some(position.unwrap_or(NO_POSITION))
}
