//! `GET /stream` and its variants: the event streams.

use std::rc::Rc;

use actix_web::http::Version;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::problem::Problem;
use super::query::{Query, parsed};
use super::stream_caller::StreamCaller;
use super::{Context, access};
use crate::directory::Member;
use crate::fanout::{CloseReason, StreamEncoding};
use crate::log::Cursor;
use crate::platform::{RecordPath, TeamId};
use crate::stream;
use crate::stream::{
    Filter, HeartbeatInterval, LogStream, Parking, RefusedStream, Scope, Since, StreamBody,
    StreamPace, StreamParameters, StreamRefusal, StreamRequest, wire,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamQuery {
    types: Option<String>,
    records: Option<String>,
    since: Option<String>,
    named: Option<String>,
    batch: Option<String>,
    coalesce: Option<String>,
    heartbeat: Option<String>,
    team: Option<String>,
    /// [`StreamCaller`] reads it.
    #[serde(rename = "ticket")]
    _ticket: Option<IgnoredAny>,
}

pub(super) async fn all(
    request: HttpRequest,
    caller: StreamCaller,
    context: Context,
    query: Result<Query<StreamQuery>, Problem>,
) -> Result<HttpResponse, Problem> {
    let scope = |team: Option<TeamId>| only(team.as_ref(), Scope::All);
    open(&request, caller, &context, query, scope).await
}

pub(super) async fn user(
    request: HttpRequest,
    caller: StreamCaller,
    context: Context,
    query: Result<Query<StreamQuery>, Problem>,
) -> Result<HttpResponse, Problem> {
    let scope = |team: Option<TeamId>| only(team.as_ref(), Scope::User);
    open(&request, caller, &context, query, scope).await
}

pub(super) async fn team(
    request: HttpRequest,
    caller: StreamCaller,
    context: Context,
    query: Result<Query<StreamQuery>, Problem>,
) -> Result<HttpResponse, Problem> {
    let scope = |team: Option<TeamId>| Ok(Scope::Team(team.map(Box::new)));
    open(&request, caller, &context, query, scope).await
}

pub(super) async fn broker(
    request: HttpRequest,
    caller: StreamCaller,
    context: Context,
    query: Result<Query<StreamQuery>, Problem>,
) -> Result<HttpResponse, Problem> {
    let scope = |team: Option<TeamId>| only(team.as_ref(), Scope::Broker);
    open(&request, caller, &context, query, scope).await
}

pub(super) async fn worker(
    request: HttpRequest,
    caller: StreamCaller,
    context: Context,
    query: Result<Query<StreamQuery>, Problem>,
) -> Result<HttpResponse, Problem> {
    let scope = |team: Option<TeamId>| only(team.as_ref(), Scope::Worker);
    open(&request, caller, &context, query, scope).await
}

pub(super) async fn record(
    request: HttpRequest,
    caller: StreamCaller,
    context: Context,
    record: RecordPath,
    query: Result<Query<StreamQuery>, Problem>,
) -> Result<HttpResponse, Problem> {
    let scope = |team: Option<TeamId>| only(team.as_ref(), Scope::Record(Box::new(record)));
    open(&request, caller, &context, query, scope).await
}

fn only(team: Option<&TeamId>, scope: Scope) -> Result<Scope, Problem> {
    match team {
        None => Ok(scope),
        Some(_) => Err(Problem::bad_parameter(
            "team",
            "belongs to /stream/team only",
        )),
    }
}

async fn open(
    request: &HttpRequest,
    StreamCaller(caller): StreamCaller,
    context: &Context,
    query: Result<Query<StreamQuery>, Problem>,
    scope: impl FnOnce(Option<TeamId>) -> Result<Scope, Problem>,
) -> Result<HttpResponse, Problem> {
    let caller = match caller {
        Ok(caller) => Ok(caller),
        Err(problem) => Err(problem.passing_reason().ok_or(problem)?),
    };
    let Query(query) = query?;
    let parameters = parameters(request, context, &query, scope)?;
    let encoding = parameters.encoding;
    let caller = match caller {
        Ok(caller) => caller,
        Err(reason) => return Ok(later(context, encoding, reason)),
    };
    let (id, broker) = (access::request_id(request), caller.broker.clone());
    let opening = StreamRequest {
        caller,
        member: request.extensions().get::<Member>().cloned(),
        client: context.services.limits.rates.client(request),
        parameters,
    };
    let (services, dispatcher) = (&context.services.streams, &context.dispatcher);
    match stream::open(services, dispatcher, id.clone(), opening).await {
        Ok(stream) => Ok(response(request, context, encoding, stream)),
        Err(StreamRefusal::Scope(error)) => Err(error.into()),
        Err(StreamRefusal::Later(refusal)) => {
            let refused = RefusedStream {
                id: &id,
                broker: &broker,
                refusal,
            };
            Ok(refused_for_now(context, encoding, refused))
        }
    }
}

fn parameters(
    request: &HttpRequest,
    context: &Context,
    query: &StreamQuery,
    scope: impl FnOnce(Option<TeamId>) -> Result<Scope, Problem>,
) -> Result<StreamParameters, Problem> {
    let scope = scope(parsed("team", query.team.as_deref())?)?;
    if matches!(scope, Scope::Record(..)) && query.records.is_some() {
        return Err(Problem::bad_parameter(
            "records",
            "is given by the path here",
        ));
    }
    let headers = request.headers();
    Ok(StreamParameters {
        scope,
        filter: Filter::parse(query.types.as_deref(), query.records.as_deref())
            .map_err(|e| Problem::bad_parameter(e.field, e.error))?,
        since: since(headers, query.since.as_deref())?,
        pace: StreamPace::parse(query.batch.as_deref(), query.coalesce.as_deref())
            .map_err(|e| Problem::bad_parameter(e.field(), e))?,
        heartbeat: heartbeat(context, query.heartbeat.as_deref())?,
        encoding: StreamEncoding {
            chunked: parking(request, context).is_some() && has_chunks(request),
            gzip: accepts_gzip(headers),
            named: named(query)?,
        },
    })
}

fn response(
    request: &HttpRequest,
    context: &Context,
    encoding: StreamEncoding,
    stream: LogStream,
) -> HttpResponse {
    let body = match parking(request, context) {
        Some(connection) => StreamBody::parked(stream, Rc::clone(connection)),
        None => StreamBody::served(stream, connection(request)),
    };
    let mut response = head(encoding).force_close().body(body);
    response.head_mut().no_chunking(!has_chunks(request));
    response
}

/// The connection, if it takes the stream.
fn parking<'a>(request: &'a HttpRequest, context: &Context) -> Option<&'a Rc<Parking>> {
    connection(request).filter(|_| context.services.streams.settings.park_streams)
}

/// Where the connection takes or watches a stream, unless it is not ours.
pub(super) fn connection(request: &HttpRequest) -> Option<&Rc<Parking>> {
    request.conn_data()
}

/// HTTP/1.0 has no chunks: its bodies end with the connection.
fn has_chunks(request: &HttpRequest) -> bool {
    request.version() >= Version::HTTP_11
}

fn named(query: &StreamQuery) -> Result<bool, Problem> {
    match query.named.as_deref() {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(Problem::bad_parameter("named", "must be true or false")),
    }
}

/// How often the stream shows that it is alive.
pub(super) fn heartbeat(
    context: &Context,
    parameter: Option<&str>,
) -> Result<HeartbeatInterval, Problem> {
    let settings = &context.services.streams.settings;
    HeartbeatInterval::parse(parameter, settings)
        .map_err(|error| Problem::bad_parameter("heartbeat", error))
}

/// Where the stream starts. The header wins: it is newer than the parameter, which a browser repeats
/// with each reconnect. A header that cannot be read leads to a reset and not to an error: an error
/// would end a browser's stream for good. So do two headers: either of them may be the wrong one.
pub(super) fn since(headers: &HeaderMap, parameter: Option<&str>) -> Result<Since, Problem> {
    let parameter: Option<Since> = parsed("since", parameter)?;
    let headers = headers.get_all("Last-Event-ID");
    let mut headers = headers.filter(|value| !value.is_empty());
    let cursor = |value: &HeaderValue| value.to_str().ok()?.parse::<Cursor>().ok();
    Ok(match (headers.next(), headers.next()) {
        (Some(value), None) => cursor(value).map_or(Since::Unreadable, Since::After),
        (Some(_), Some(_)) => Since::Unreadable,
        (None, _) => parameter.unwrap_or(Since::Now),
    })
}

pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(header::ACCEPT_ENCODING)
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| {
            part.strip_prefix(['q', 'Q'])?
                .strip_prefix('=')?
                .parse()
                .ok()
        });
        is_gzip && weight.unwrap_or(1.0) > 0.0
    })
}

/// The head of every stream, including those that end at once.
pub(super) fn head(encoding: StreamEncoding) -> actix_web::HttpResponseBuilder {
    let mut head = HttpResponse::Ok();
    head.insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header(("X-Accel-Buffering", "no"));
    if encoding.gzip {
        head.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    head
}

/// Like [`later`], with a line in the log.
pub(super) fn refused_for_now(
    context: &Context,
    encoding: StreamEncoding,
    refused: RefusedStream<'_>,
) -> HttpResponse {
    refused.log(&context.services.streams.line_limit);
    later(context, encoding, refused.refusal.reason())
}

/// A stream that ends at once and asks the client to reconnect. The status is 200: any other ends a
/// browser's stream for good.
pub(super) fn later(
    context: &Context,
    encoding: StreamEncoding,
    reason: CloseReason,
) -> HttpResponse {
    let services = &context.services.streams;
    services.count_refused(reason);
    let spread = services.retry_spread();
    let retry = services.dice.between(wire::RETRY_FLOOR, spread);
    let text = wire::closing(encoding.named, reason, retry);
    let encoding = StreamEncoding {
        chunked: false,
        gzip: false,
        ..encoding
    };
    // Its client may not come back to this instance, and a connection costs a descriptor.
    head(encoding)
        .force_close()
        .body(wire::encoded(encoding, &text))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_is_used_if_the_client_accepts_it() {
        for (value, is_accepted) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;Q=0", false),
            ("deflate, br", false),
            ("", false),
        ] {
            let request = TestRequest::default().insert_header(("Accept-Encoding", value));
            assert_eq!(
                accepts_gzip(request.to_http_request().headers()),
                is_accepted,
                "{value:?}"
            );
        }
    }

    #[test]
    fn the_header_wins_and_an_empty_one_is_ignored() {
        let since = |header: &str, parameter| {
            let request = TestRequest::default().insert_header(("Last-Event-ID", header));
            since(request.to_http_request().headers(), parameter).unwrap()
        };
        assert_eq!(
            since("7-a", Some("3-a")),
            Since::After("7-a".parse().unwrap())
        );
        assert_eq!(since("", Some("0")), Since::Everything);
        assert_eq!(since("", None), Since::Now);
        assert_eq!(since("urn:uuid:1", Some("3")), Since::Unreadable);
    }

    #[test]
    fn two_headers_are_no_cursor_and_empty_ones_do_not_count() {
        let since = |ids: [&str; 2]| {
            let request = TestRequest::default();
            let request = ids.into_iter().fold(request, |request, id| {
                request.append_header(("Last-Event-ID", id))
            });
            since(request.to_http_request().headers(), None).unwrap()
        };
        assert_eq!(since(["7-a", "8-a"]), Since::Unreadable);
        assert_eq!(since(["", "7-a"]), Since::After("7-a".parse().unwrap()));
        assert_eq!(since(["", ""]), Since::Now);
    }
}
