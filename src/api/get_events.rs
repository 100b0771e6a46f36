//! `GET /events`: the log as JSON: history in both directions, and long-polling for networks that
//! block streams.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::Context;
use super::client_address::Client;
use super::page::Page;
use super::problem::{Code, Problem};
use super::query::{Query, number, parsed};
use crate::directory::Member;
use crate::identity::Caller;
use crate::log::Cursor;
use crate::platform::{PageLimit, TeamId};
use crate::stream::{Filter, ResetReason, Scope};
use crate::stream::{HistoryError, HistoryQuery, HistoryRange, history};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MOST: usize = 1_000;
/// The longest wait for events, in seconds.
const WAIT_MOST: u64 = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    scope: Option<String>,
    team: Option<String>,
    after: Option<String>,
    before: Option<String>,
    limit: Option<String>,
    wait: Option<String>,
    types: Option<String>,
    records: Option<String>,
}

pub(super) async fn list(
    mut caller: Caller,
    Client(client): Client,
    context: Context,
    Query(query): Query<EventsQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut query = HistoryQuery {
        client,
        member: request.extensions().get::<Member>().cloned(),
        ..context.history(&query)?
    };
    let streams = &context.services.streams;
    let listed = loop {
        let listed = history::list(streams, &context.dispatcher, &caller, query.clone()).await?;
        // The token may have been revoked while the request waited, or the user may have left a team.
        let now = context.services.callers.verifier.check_again(&caller)?;
        if now.teams.len() == caller.teams.len() {
            break listed;
        }
        // It has waited already.
        (caller, query.wait) = (now, None);
    };
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "events",
        items: &listed.events,
        fields: json!({"next": listed.next.map(|next| next.to_string())}),
    };
    Ok(page.respond(response))
}

impl Context {
    fn history(&self, query: &EventsQuery) -> Result<HistoryQuery, Problem> {
        let limit = number("limit", query.limit.as_deref(), 1..=LIMIT_MOST)?;
        history(query, self.page_limit(limit.unwrap_or(LIMIT_DEFAULT)))
    }
}

fn history(query: &EventsQuery, limit: PageLimit) -> Result<HistoryQuery, Problem> {
    let filter = Filter::parse(query.types.as_deref(), query.records.as_deref());
    Ok(HistoryQuery {
        scope: scope(query)?,
        filter: filter.map_err(|e| Problem::bad_parameter(e.field, e.error))?,
        range: range(query)?,
        limit,
        wait: wait(query)?,
        client: None,
        member: None,
    })
}

fn scope(query: &EventsQuery) -> Result<Scope, Problem> {
    let team: Option<TeamId> = parsed("team", query.team.as_deref())?;
    Ok(match (query.scope.as_deref(), team) {
        (Some("team"), team) => Scope::Team(team.map(Box::new)),
        (_, Some(_)) => return Err(Problem::bad_parameter("team", "needs scope=team")),
        (None | Some("all"), None) => Scope::All,
        (Some("user"), None) => Scope::User,
        (Some("broker"), None) => Scope::Broker,
        (Some("worker"), None) => Scope::Worker,
        (Some(_), None) => {
            return Err(Problem::bad_parameter(
                "scope",
                "must be all, user, team, broker or worker",
            ));
        }
    })
}

fn wait(query: &EventsQuery) -> Result<Option<Duration>, Problem> {
    let seconds = number("wait", query.wait.as_deref(), 0..=WAIT_MOST)?;
    Ok(seconds.map(Duration::from_secs))
}

fn range(query: &EventsQuery) -> Result<HistoryRange, Problem> {
    let after: Option<Cursor> = parsed("after", query.after.as_deref())?;
    let before: Option<Cursor> = parsed("before", query.before.as_deref())?;
    Ok(match (after, before) {
        (Some(_), Some(_)) => {
            return Err(Problem::bad_parameter(
                "before",
                "cannot be combined with after",
            ));
        }
        (None, Some(_)) if wait(query)?.is_some() => {
            return Err(Problem::bad_parameter(
                "wait",
                "needs after: nothing new comes before",
            ));
        }
        (None, Some(before)) => HistoryRange::Before(before),
        // The whole log, like `since=0` of a stream.
        (
            Some(Cursor {
                position: 0,
                epoch: None,
            })
            | None,
            None,
        ) => HistoryRange::Oldest,
        (Some(after), None) => HistoryRange::After(after),
    })
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Scope(error) => error.into(),
            HistoryError::Brokerage(error) => error.into(),
            HistoryError::Refused(refusal) => refusal.into(),
            HistoryError::Database(error) => Problem::database(&error),
            HistoryError::Unavailable => Problem::unavailable(
                Code::DatabaseUnavailable,
                "The log cannot be read at the moment. Try again.",
            ),
            HistoryError::Reset(reason, position) => {
                let (code, why) = match reason {
                    ResetReason::Expired => {
                        (Code::CursorExpired, "events after it have been removed")
                    }
                    ResetReason::Unknown => (Code::CursorUnknown, "it belongs to another log"),
                    ResetReason::Ahead => (Code::CursorAhead, "the log does not reach that far"),
                };
                let detail = format!(
                    "This position cannot be served: {why}. Fetch the current state, then continue \
                     after {position}."
                );
                Problem::new(StatusCode::GONE, code, detail).with("position", &position.to_string())
            }
        }
    }
}
