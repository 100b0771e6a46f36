//! `POST /presence/heartbeat`, `POST /presence/leave`, `GET /presence`.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::body::{Json, Object};
use super::problem::{Code, Problem};
use super::query::{NoQuery, Query, number, parsed};
use super::record::RecordBody;
use super::{Context, page};
use crate::collab::MOST_USERS_LISTED;
use crate::collab::{Heartbeat, PresenceError, Status, View};
use crate::identity::Caller;
use crate::log::Audience;
use crate::platform::{RecordPath, SessionName, TeamId};
use crate::stream::Scope;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeartbeatBody {
    session: SessionName,
    #[serde(default)]
    status: StatusBody,
    viewing: Option<Object<RecordBody>>,
    editing: Option<Object<RecordBody>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusBody {
    #[default]
    Online,
    Away,
}

/// A session of the caller is in use, and has these records open.
pub(super) async fn heartbeat(
    caller: Caller,
    context: Context,
    _: NoQuery,
    Json(body): Json<HeartbeatBody>,
) -> Result<HttpResponse, Problem> {
    let heartbeat = Heartbeat {
        session: body.session,
        status: match body.status {
            StatusBody::Online => Status::Online,
            StatusBody::Away => Status::Away,
        },
        viewing: open_record(&context, body.viewing, "viewing")?,
        editing: open_record(&context, body.editing, "editing")?,
    };
    let presence = &context.services.collab.presence;
    presence.heartbeat(&caller, heartbeat).await?;
    let seconds = presence.rules().timeout.as_secs();
    Ok(HttpResponse::Ok().json(json!({"countsForSeconds": seconds})))
}

fn open_record(
    context: &Context,
    record: Option<Object<RecordBody>>,
    field: &str,
) -> Result<Option<RecordPath>, Problem> {
    let Some(Object(record)) = record else {
        return Ok(None);
    };
    context.module(&record.module, &format!("{field}.module"))?;
    Ok(Some(record.into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeaveBody {
    session: SessionName,
}

/// Ends a session of the caller.
pub(super) async fn leave(
    caller: Caller,
    context: Context,
    _: NoQuery,
    Json(body): Json<LeaveBody>,
) -> Result<HttpResponse, Problem> {
    let presence = &context.services.collab.presence;
    presence.leave(&caller, body.session).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PresenceQuery {
    record: Option<String>,
    team: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Lists the users who are online or away, as far as the caller may see them.
pub(super) async fn list(
    caller: Caller,
    context: Context,
    Query(query): Query<PresenceQuery>,
) -> Result<HttpResponse, Problem> {
    let record: Option<RecordPath> = parsed("record", query.record.as_deref())?;
    if let Some(record) = &record {
        context.module(&record.module, "record")?;
        let record_audiences = &context.services.directory.record_audiences;
        let seen = record_audiences.audience_for(&caller, record).await;
        seen.map_err(|error| Problem::from(error).at("record"))?;
    }
    let audiences = audiences(&caller, query.team.as_deref())?;
    let limit = number("limit", query.limit.as_deref(), 1..=MOST_USERS_LISTED)?;
    let after = parsed("cursor", query.cursor.as_deref())?;
    let records = record.map(|record| [record].into_iter().collect());
    let view = View {
        audiences: &audiences,
        records: records.as_ref(),
        by_number: false,
        after: after.as_ref(),
        limit: context.page_limit(limit.unwrap_or(MOST_USERS_LISTED)),
    };
    let presence = &context.services.collab.presence;
    let people = presence.list(&caller.broker, &view).await?;
    Ok(page::respond_json(HttpResponse::Ok(), people.json()))
}

fn audiences(caller: &Caller, team: Option<&str>) -> Result<std::sync::Arc<[Audience]>, Problem> {
    let team: Option<TeamId> = parsed("team", team)?;
    let scope = team.map_or(Scope::All, |team| Scope::Team(Some(Box::new(team))));
    Ok(scope.audiences(caller)?)
}

impl From<PresenceError> for Problem {
    fn from(error: PresenceError) -> Self {
        let detail = error.to_string();
        match error {
            PresenceError::Unavailable => Self::unavailable(
                Code::PresenceUnavailable,
                "The database did not answer. Try again.",
            ),
            PresenceError::UnknownSession(_) => {
                Self::new(StatusCode::NOT_FOUND, Code::UnknownSession, detail).at("session")
            }
            PresenceError::TooManySessions => {
                Self::new(StatusCode::CONFLICT, Code::TooManySessions, detail).at("session")
            }
            PresenceError::Record(error) => error.into(),
            PresenceError::Token(error) => error.into(),
        }
    }
}
