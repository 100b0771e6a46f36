//! `POST /signals`: what a user is doing at the moment, such as typing.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Context;
use super::body::Json;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use crate::collab::{About, Signal, SignalError};
use crate::directory::activity_audiences;
use crate::identity::Caller;
use crate::log::Audience;
use crate::platform::{ModuleName, RecordId, RecordPath, SessionName, TeamId};
use crate::stream::UnknownScope;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SignalBody {
    name: String,
    module: Option<ModuleName>,
    record_id: Option<RecordId>,
    team: Option<TeamId>,
    session: Option<SessionName>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignalJson {
    ends_in_ms: u128,
}

/// Publishes a signal, and answers before the streams have written it.
pub(super) async fn send(
    caller: Caller,
    context: Context,
    _: NoQuery,
    Json(body): Json<SignalBody>,
) -> Result<HttpResponse, Problem> {
    let names = &context.services.collab.signal_names;
    let (name, action) = names.find(&body.name).ok_or_else(|| {
        let detail = format!(
            "There is no signal of this name; there are {}.",
            names.accepted()
        );
        Problem::bad_request(Code::UnknownSignal, detail).at("name")
    })?;
    let session = body.session.clone();
    let about = about(body)?;
    let audiences = audiences(&context, &caller, &about).await?;
    let signal = Signal {
        name: name.clone(),
        action,
        about,
        session,
        audiences,
    };
    let collab = &context.services.collab;
    collab.presence.touch(&caller);
    let ends_in_ms = collab.signals.send(&caller, signal)?.as_millis();
    Ok(HttpResponse::Accepted().json(SignalJson { ends_in_ms }))
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
        (Some(_), None, None) => refused("recordId", "A module needs a recordId."),
        (None, Some(_), None) => {
            let detail = "A recordId needs the module it belongs to.";
            Err(Problem::bad_request(Code::ModuleMissing, detail).at("module"))
        }
    }
}

/// The audiences of a signal. The caller must belong to them.
async fn audiences(
    context: &Context,
    caller: &Caller,
    about: &About,
) -> Result<Arc<[Audience]>, Problem> {
    match about {
        About::Record(record) => {
            context.module(&record.module, "module")?;
            let record_audiences = &context.services.directory.record_audiences;
            let audience = record_audiences.audience_for(caller, record).await?;
            Ok(activity_audiences(caller, &audience))
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
                let detail =
                    "Too many of your signals are active. Wait until one ends, or stop one.";
                Self::new(status, Code::TooManySignals, detail).retry_after(1)
            }
            SignalError::Busy => {
                Self::unavailable(Code::Busy, "Too many signals are active. Try again.")
            }
        }
    }
}
