//! `/tasks/{id}/output`: what a model writes, chunk by chunk, and the stream of it.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::problem::Problem;
use super::tasks::task_id;
use super::tasks_worker::holding;
use super::{Service, query};
use crate::event::json::timestamp;
use crate::hub::CloseReason;
use crate::hub::switchboard::{Seat, TICK};
use crate::identity::Caller;
use crate::stream::wire;
use crate::tasks::output::{OutputReader, Place, Step};
use crate::tasks::{TaskError, output};

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

/// Adds a chunk.
pub async fn write(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    (path, payload): (web::Path<String>, web::Payload),
) -> Result<HttpResponse, Problem> {
    let body: OutputBody = service.worker_body(&caller, &request, payload).await?;
    let holding = holding(&caller, &path, body.fence)?;
    let bad = |field: &str, detail| Problem::bad_request("invalid_body", detail).at(field);
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
    let kept = service.app.tasks.write_output(&holding, chunk).await?;
    Ok(HttpResponse::Ok().json(json!({
        "offset": kept.offset,
        "cancel": kept.cancel,
        "leaseUntil": timestamp(kept.lease_until),
    })))
}

/// Streams the output from a byte on, to the end of the task.
pub async fn read(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = task_id(&path)?;
    let query: OutputQuery = query::parse(&request)?;
    let byte = offset(query.offset.as_deref())?;
    let stood = stood(&request);
    let tasks = &service.app.tasks;
    let reader = tasks.read_output((&caller, &id), byte, stood).await;
    let reader = reader.map_err(|error| match error {
        TaskError::WrongOffset(end) => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let detail = format!("There are {end} bytes of output so far.");
            Problem::new(status, "wrong_offset", detail)
                .at("offset")
                .showing("offset", &end)
        }
        error => error.into(),
    })?;
    let told = Telling::new(&service, &caller, reader);
    let mut head = HttpResponse::Ok();
    head.insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        .insert_header(("X-Accel-Buffering", "no"));
    Ok(head.streaming(stream::unfold(told, Telling::next)))
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
fn stood(request: &HttpRequest) -> Option<Place> {
    let id = request.headers().get("Last-Event-ID")?;
    if id.is_empty() {
        return None;
    }
    let place = id.to_str().ok().and_then(|id| {
        let (attempt, byte) = id.split_once('-')?;
        let (attempt, byte) = (attempt.parse().ok()?, byte.parse().ok()?);
        (byte >= 0).then_some(Place { attempt, byte })
    });
    let (attempt, byte) = (-1, 0);
    Some(place.unwrap_or(Place { attempt, byte }))
}

/// A stream of output: it holds a place and no text.
struct Telling {
    service: Service,
    reader: OutputReader,
    seat: Seat,
    expires_at: Instant,
    next_beat: Instant,
    has_begun: bool,
    is_over: bool,
}

impl Telling {
    fn new(service: &Service, caller: &Caller, reader: OutputReader) -> Self {
        let app = &service.app;
        let now = Instant::now();
        let until_end = Duration::try_from(caller.expires_at - app.streams.clock.now());
        let board = Rc::clone(&service.board);
        Self {
            service: service.clone(),
            reader,
            // Woken by nothing but time and the end of the service.
            seat: board.sit(caller.broker.clone(), [].into()),
            expires_at: now + until_end.unwrap_or_default(),
            next_beat: now + app.streams.settings.heartbeat(),
            has_begun: false,
            is_over: false,
        }
    }

    async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        if self.is_over {
            return None;
        }
        let text = self.words().await;
        Some((Ok(text.into()), self))
    }

    async fn words(&mut self) -> String {
        let dice = &self.service.app.streams.dice;
        if !self.has_begun {
            self.has_begun = true;
            let retry = dice.between(wire::RETRY_USUAL / 3, wire::RETRY_USUAL);
            return wire::hello(retry);
        }
        loop {
            if let Some(reason) = self.must_close() {
                return self.close(reason);
            }
            match self.reader.step().await {
                Ok(Step::Nothing) => {}
                Ok(step) => return self.tell(&step),
                Err(TaskError::Unknown(_)) => return self.close(CloseReason::Unavailable),
                Err(error) => {
                    tracing::warn!(%error, "output could not be read");
                    return self.close(CloseReason::Unavailable);
                }
            }
            if Instant::now() >= self.next_beat {
                self.next_beat = Instant::now() + self.service.app.streams.settings.heartbeat();
                return wire::HEARTBEAT.to_owned();
            }
            self.rest().await;
        }
    }

    /// Until there may be more, or something is due.
    async fn rest(&mut self) {
        let end = self.expires_at.checked_sub(TICK).unwrap_or(self.expires_at);
        let seat = &self.seat;
        let closing = std::future::poll_fn(|context| {
            if seat.closing().is_some() {
                return std::task::Poll::Ready(());
            }
            seat.wait(context, end);
            std::task::Poll::Pending
        });
        tokio::select! {
            () = closing => {}
            () = tokio::time::sleep_until(self.next_beat.min(end)) => {}
            () = self.reader.changed() => {}
        }
    }

    fn must_close(&self) -> Option<CloseReason> {
        let is_over = Instant::now() + TICK >= self.expires_at;
        let closing = self.seat.closing();
        closing.or(is_over.then_some(CloseReason::Expired))
    }

    fn close(&mut self, reason: CloseReason) -> String {
        self.is_over = true;
        let services = &self.service.app.streams;
        let spread = self.seat.board().draining().unwrap_or(wire::RETRY_USUAL);
        let latest = spread.max(wire::RETRY_FLOOR);
        let retry = services.dice.between(wire::RETRY_FLOOR, latest);
        wire::closing(true, reason, retry)
    }

    fn tell(&mut self, step: &Step) -> String {
        self.next_beat = Instant::now() + self.service.app.streams.settings.heartbeat();
        let (data, at) = match step {
            Step::Text { from, text, to } => (json!({"offset": from, "text": text}), to),
            Step::Restart(at) => (json!({"attempt": at.attempt}), at),
            Step::End(state, at) => {
                self.is_over = true;
                (json!({"state": state, "offset": at.byte}), at)
            }
            Step::Nothing => return String::new(),
        };
        let name = step.name();
        format!(
            "event: {name}\ndata: {data}\nid: {}-{}\n\n",
            at.attempt, at.byte
        )
    }
}
