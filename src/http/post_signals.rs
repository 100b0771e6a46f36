//! `POST /signals`: what a user is just doing.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::{Service, query};
use crate::event::Audience;
use crate::identity::Caller;
use crate::ids::{ModuleName, RecordId, RecordPath, SessionName, TeamId};
use crate::records::onlookers;
use crate::signals::{About, Signal, SignalError};
use crate::stream::scope::UnknownScope;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SignalBody {
    name: String,
    module: Option<ModuleName>,
    record_id: Option<RecordId>,
    team: Option<TeamId>,
    session: Option<SessionName>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    ends_in_ms: u128,
}

/// Takes a signal; it is on its way when the answer is.
pub async fn send(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let body: SignalBody = service.body(&request, payload).await?;
    let names = &service.app.signal_names;
    let (name, word) = names.get(&body.name).ok_or_else(|| {
        let detail = format!(
            "There is no signal of this name; there are {}.",
            names.words()
        );
        Problem::bad_request("unknown_signal", detail).at("name")
    })?;
    let session = body.session.clone();
    let about = about(body)?;
    let lanes = lanes(&service, &caller, &about).await?;
    let signal = Signal {
        name: name.clone(),
        word,
        about,
        session,
        lanes,
    };
    service.app.presence.touch(&caller);
    let ends_in_ms = service.app.signals.send(&caller, signal)?.as_millis();
    Ok(HttpResponse::Accepted().json(Answer { ends_in_ms }))
}

/// What the signal is about: a record or a team.
fn about(body: SignalBody) -> Result<About, Problem> {
    let refused = |field, detail| Err(Problem::bad_request("invalid_body", detail).at(field));
    match (body.module, body.record_id, body.team) {
        (Some(module), Some(id), None) => Ok(About::Record(RecordPath { module, id })),
        (None, None, Some(team)) => Ok(About::Team(team)),
        (None, None, None) => refused(
            "module",
            "A signal is about a record (module and recordId) or about a team.",
        ),
        (_, _, Some(_)) => refused("team", "A signal is about a record or a team, not both."),
        (Some(_), None, None) => refused("recordId", "A module needs the recordId that is meant."),
        (None, Some(_), None) => {
            let detail = "A recordId needs the module it belongs to.";
            Err(Problem::bad_request("module_missing", detail).at("module"))
        }
    }
}

/// Whoever may hear of it, if the caller is among them.
async fn lanes(
    service: &Service,
    caller: &Caller,
    about: &About,
) -> Result<Arc<[Audience]>, Problem> {
    match about {
        About::Record(record) => {
            service.module(&record.module, "module")?;
            let audience = service.app.records.audience_for(caller, record).await?;
            Ok(onlookers(caller, &audience))
        }
        About::Team(team) if caller.is_on(team) => Ok([Audience::Team(team.clone())].into()),
        About::Team(team) => Err(UnknownScope::Team(team.clone()).into()),
    }
}

impl From<SignalError> for Problem {
    fn from(error: SignalError) -> Self {
        match error {
            SignalError::TooMany => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                let detail = "Too many of your signals go on. Some must end or be stopped first.";
                Self::new(status, "too_many_signals", detail).retry_after(1)
            }
            SignalError::Busy => Self::unavailable("busy", "Too many signals go on. Try again."),
        }
    }
}
