//! `POST /presence/heartbeat`, `POST /presence/leave`, `GET /presence`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::get_events::number;
use super::problem::Problem;
use super::record::RecordBody;
use super::{Service, body, page, query};
use crate::event::Audience;
use crate::identity::Caller;
use crate::ids::{RecordPath, SessionName, TeamId};
use crate::presence::told::MOST_LISTED;
use crate::presence::{Beat, PresenceError, Status, View};
use crate::stream::Scope;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeatBody {
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
    service: Service,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let body: BeatBody = service.body(&request, payload).await?;
    let beat = Beat {
        session: body.session,
        status: match body.status {
            StatusBody::Online => Status::Online,
            StatusBody::Away => Status::Away,
        },
        viewing: opened(&service, body.viewing, "viewing")?,
        editing: opened(&service, body.editing, "editing")?,
    };
    service.app.presence.beat(&caller, beat).await?;
    let seconds = service.app.presence.rules().timeout.as_secs();
    Ok(HttpResponse::Ok().json(json!({"countsForSeconds": seconds})))
}

fn opened(
    service: &Service,
    record: Option<body::Object<RecordBody>>,
    field: &str,
) -> Result<Option<RecordPath>, Problem> {
    let Some(body::Object(record)) = record else {
        return Ok(None);
    };
    service.module(&record.module, &format!("{field}.module"))?;
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
    service: Service,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let body: LeaveBody = service.body(&request, payload).await?;
    service.app.presence.leave(&caller, body.session).await?;
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
    service: Service,
) -> Result<HttpResponse, Problem> {
    let query: PresenceQuery = query::parse(&request)?;
    let record: Option<RecordPath> = match query.record.as_deref().map(str::parse).transpose() {
        Ok(record) => record,
        Err(error) => return Err(Problem::bad_parameter("record", error)),
    };
    if let Some(record) = &record {
        service.module(&record.module, "record")?;
        let seen = service.app.records.audience_for(&caller, record).await;
        seen.map_err(|error| Problem::from(error).at("record"))?;
    }
    let audiences = audiences(&caller, query.team.as_deref())?;
    let limit = number("limit", query.limit.as_deref(), 1..=MOST_LISTED)?;
    let after = query.cursor.as_deref().map(str::parse).transpose();
    let after = after.map_err(|error| Problem::bad_parameter("cursor", error))?;
    let records = record.map(|record| [record].into_iter().collect());
    let view = View {
        audiences: &audiences,
        records: records.as_ref(),
        by_number: false,
        after: after.as_ref(),
        limit: service.page_limit(limit.unwrap_or(MOST_LISTED)),
    };
    let people = service.app.presence.look(&caller.broker, &view).await?;
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
                "presence_unavailable",
                "The database did not answer. Try again.",
            ),
            PresenceError::UnknownSession(_) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_session", detail).at("session")
            }
            PresenceError::TooManySessions => {
                Self::new(StatusCode::CONFLICT, "too_many_sessions", detail).at("session")
            }
            PresenceError::Record(error) => error.into(),
        }
    }
}
