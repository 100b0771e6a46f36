//! `POST /presence/heartbeat`, `POST /presence/leave`, `GET /presence`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::get_events::number;
use super::problem::{Code, Problem};
use super::record::RecordBody;
use super::{Context, body, page, query};
use crate::collab::MOST_USERS_LISTED;
use crate::collab::{Heartbeat, PresenceError, Status, View};
use crate::identity::Caller;
use crate::log::Audience;
use crate::platform::{RecordPath, SessionName, TeamId};
use crate::stream::Scope;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeartbeatBody {
    session: SessionName,
    #[serde(default)]
    status: StatusBody,
    viewing: Option<body::Object<RecordBody>>,
    editing: Option<body::Object<RecordBody>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusBody {
    #[default]
    Online,
    Away,
}

/// Somebody is here, and says what they have open.
pub async fn heartbeat(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let body: HeartbeatBody = context.body(&request, payload).await?;
    let heartbeat = Heartbeat {
        session: body.session,
        status: match body.status {
            StatusBody::Online => Status::Online,
            StatusBody::Away => Status::Away,
        },
        viewing: opened(&context, body.viewing, "viewing")?,
        editing: opened(&context, body.editing, "editing")?,
    };
    context
        .services
        .presence
        .heartbeat(&caller, heartbeat)
        .await?;
    let seconds = context.services.presence.rules().timeout.as_secs();
    Ok(HttpResponse::Ok().json(json!({"countsForSeconds": seconds})))
}

fn opened(
    context: &Context,
    record: Option<body::Object<RecordBody>>,
    field: &str,
) -> Result<Option<RecordPath>, Problem> {
    let Some(body::Object(record)) = record else {
        return Ok(None);
    };
    context.module(&record.module, &format!("{field}.module"))?;
    Ok(Some(record.into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaveBody {
    session: SessionName,
}

/// A device or tab says goodbye.
pub async fn leave(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let body: LeaveBody = context.body(&request, payload).await?;
    context
        .services
        .presence
        .leave(&caller, body.session)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresenceQuery {
    record: Option<String>,
    team: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Who is here, as far as the caller may see it.
pub async fn list(
    request: HttpRequest,
    caller: Caller,
    context: Context,
) -> Result<HttpResponse, Problem> {
    let query: PresenceQuery = query::parse(&request)?;
    let record: Option<RecordPath> = match query.record.as_deref().map(str::parse).transpose() {
        Ok(record) => record,
        Err(error) => return Err(Problem::bad_parameter("record", error)),
    };
    if let Some(record) = &record {
        context.module(&record.module, "record")?;
        let seen = context
            .services
            .record_audiences
            .audience_for(&caller, record)
            .await;
        seen.map_err(|error| Problem::from(error).at("record"))?;
    }
    let audiences = audiences(&caller, query.team.as_deref())?;
    let limit = number("limit", query.limit.as_deref(), 1..=MOST_USERS_LISTED)?;
    let after = query.cursor.as_deref().map(str::parse).transpose();
    let after = after.map_err(|error| Problem::bad_parameter("cursor", error))?;
    let records = record.map(|record| [record].into_iter().collect());
    let view = View {
        audiences: &audiences,
        records: records.as_ref(),
        by_number: false,
        after: after.as_ref(),
        limit: context.page_limit(limit.unwrap_or(MOST_USERS_LISTED)),
    };
    let people = context
        .services
        .presence
        .look(&caller.broker, &view)
        .await?;
    Ok(page::whole(HttpResponse::Ok(), people.to_string()))
}

fn audiences(caller: &Caller, team: Option<&str>) -> Result<std::sync::Arc<[Audience]>, Problem> {
    let Some(team) = team else {
        return Ok(Scope::All.audiences(caller)?);
    };
    let team: TeamId = team
        .parse()
        .map_err(|error| Problem::bad_parameter("team", error))?;
    Ok(Scope::Team(Some(team)).audiences(caller)?)
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
        }
    }
}
