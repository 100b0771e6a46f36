//! `POST /signals`: what a user is just doing.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::problem::{Code, Problem};
use super::{Context, query};
use crate::collab::{About, Signal, SignalError};
use crate::directory::onlookers;
use crate::identity::Caller;
use crate::log::Audience;
use crate::platform::{ModuleName, RecordId, RecordPath, SessionName, TeamId};
use crate::stream::UnknownScope;

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
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let body: SignalBody = context.body(&request, payload).await?;
    let names = &context.services.signal_names;
    let (name, word) = names.get(&body.name).ok_or_else(|| {
        let detail = format!(
            "There is no signal of this name; there are {}.",
            names.words()
        );
        Problem::bad_request(Code::UnknownSignal, detail).at("name")
    })?;
    let session = body.session.clone();
    let about = about(body)?;
    let topics = topics(&context, &caller, &about).await?;
    let signal = Signal {
        name: name.clone(),
        word,
        about,
        session,
        topics,
    };
    context.services.presence.touch(&caller);
    let ends_in_ms = context.services.signals.send(&caller, signal)?.as_millis();
    Ok(HttpResponse::Accepted().json(Answer { ends_in_ms }))
}

/// What the signal is about: a record or a team.
fn about(body: SignalBody) -> Result<About, Problem> {
    let refused = |field, detail| Err(Problem::bad_request(Code::InvalidBody, detail).at(field));
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
            Err(Problem::bad_request(Code::ModuleMissing, detail).at("module"))
        }
    }
}

/// Whoever may hear of it, if the caller is among them.
async fn topics(
    context: &Context,
    caller: &Caller,
    about: &About,
) -> Result<Arc<[Audience]>, Problem> {
    match about {
        About::Record(record) => {
            context.module(&record.module, "module")?;
            let audience = context
                .services
                .record_audiences
                .audience_for(caller, record)
                .await?;
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
                Self::new(status, Code::TooManySignals, detail).retry_after(1)
            }
            SignalError::Busy => {
                Self::unavailable(Code::Busy, "Too many signals go on. Try again.")
            }
        }
    }
}
