//! `GET /events`: the same log as JSON: history in both directions, and long-polling
//! where streaming is blocked.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::page::Page;
use super::problem::{Code, Problem};
use super::{Context, query};
use crate::identity::Caller;
use crate::log::Cursor;
use crate::platform::PageLimit;
use crate::stream::{Filter, ResetReason, Scope};
use crate::stream::{History, HistoryError, HistoryRange, history};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MOST: usize = 1_000;
/// Seconds that an answer may wait for events.
const WAIT_MOST: u64 = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    scope: Option<String>,
    team: Option<String>,
    after: Option<String>,
    before: Option<String>,
    limit: Option<String>,
    wait: Option<String>,
    types: Option<String>,
    records: Option<String>,
}

pub async fn list(
    request: HttpRequest,
    caller: Caller,
    context: Context,
) -> Result<HttpResponse, Problem> {
    let asked = context.history(&query::parse(&request)?)?;
    let listed = history::list(
        &context.services.streams,
        &context.dispatcher,
        &caller,
        asked,
    )
    .await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "events",
        items: &listed.events,
        fields: json!({"next": listed.next.map(|next| next.to_string())}),
    };
    Ok(page.answer(response))
}

impl Context {
    fn history(&self, query: &EventsQuery) -> Result<History, Problem> {
        let limit = number("limit", query.limit.as_deref(), 1..=LIMIT_MOST)?;
        asked(query, self.page_limit(limit.unwrap_or(LIMIT_DEFAULT)))
    }
}

fn asked(query: &EventsQuery, limit: PageLimit) -> Result<History, Problem> {
    let team = query.team.as_deref().map(str::parse).transpose();
    let team = team.map_err(|e| Problem::bad_parameter("team", e))?;
    let scope = match (query.scope.as_deref(), team) {
        (Some("team"), team) => Scope::Team(team),
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
    };
    let filter = Filter::parse(query.types.as_deref(), query.records.as_deref())
        .map_err(|e| Problem::bad_parameter(e.field, e.error))?;
    let wait = number("wait", query.wait.as_deref(), 0..=WAIT_MOST)?.map(Duration::from_secs);
    let cursor = |field, text: Option<&str>| -> Result<Option<Cursor>, Problem> {
        text.map(str::parse)
            .transpose()
            .map_err(|e| Problem::bad_parameter(field, e))
    };
    let after = cursor("after", query.after.as_deref())?;
    let place = match (after, cursor("before", query.before.as_deref())?) {
        (Some(_), Some(_)) => {
            return Err(Problem::bad_parameter(
                "before",
                "cannot be had together with after",
            ));
        }
        (None, Some(_)) if wait.is_some() => {
            return Err(Problem::bad_parameter(
                "wait",
                "needs after: nothing new comes before",
            ));
        }
        (None, Some(before)) => HistoryRange::Before(before),
        // Everything that is kept, as `since=0` of a stream.
        (
            Some(Cursor {
                position: 0,
                epoch: None,
            })
            | None,
            None,
        ) => HistoryRange::Oldest,
        (Some(after), None) => HistoryRange::After(after),
    };
    Ok(History {
        scope,
        filter,
        place,
        limit,
        wait,
    })
}

/// A number among the parameters, within a range.
pub(super) fn number<N: std::str::FromStr + PartialOrd + std::fmt::Display>(
    field: &str,
    text: Option<&str>,
    range: std::ops::RangeInclusive<N>,
) -> Result<Option<N>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| {
        let reason = format!("must be a number from {} to {}", range.start(), range.end());
        Problem::bad_parameter(field, reason)
    })
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Scope(error) => error.into(),
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
                    ResetReason::Unknown => (Code::CursorUnknown, "it is of another log"),
                    ResetReason::Ahead => (Code::CursorAhead, "the log does not reach that far"),
                };
                let detail = format!(
                    "This position cannot be served: {why}. Fetch the current state, then go on \
                     after {position}."
                );
                Problem::new(StatusCode::GONE, code, detail).with_position(position.to_string())
            }
        }
    }
}
