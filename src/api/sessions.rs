//! `/session` and `/sessions`: what a token is good for, and when it counts no more.

use std::collections::BTreeMap;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::json;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::Context;
use super::body::{Json, OptionalJson};
use super::caller_rules::Revoker;
use super::problem::{Code, Problem};
use super::query::{NoFields, NoQuery};
use super::session_quotas::{self, QuotaJson};
use crate::directory::{Brokerages, LookupError, Member};
use crate::identity::{Caller, Revocation, Revoked, is_token_id};
use crate::log::timestamp;
use crate::platform::{BrokerId, TeamId, UserId};
use crate::sessions::{
    NewRevocation, RenewalError, RevocationError, RevocationTarget, TicketError, TicketHolder,
};

/// When to send a ticket again that was not looked up.
const NOT_LOOKED_UP_SECONDS: u32 = 1;

/// What the caller's token is good for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionJson<'a> {
    user_id: &'a str,
    name: Option<&'a str>,
    broker: &'a str,
    teams: Vec<&'a str>,
    role: &'static str,
    token_id: Option<&'a str>,
    issued_at: Option<String>,
    expires_at: String,
    heartbeat_seconds: u16,
    expiring_seconds: u64,
    limits: SessionLimits,
    quotas: BTreeMap<&'static str, QuotaJson>,
    modules: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionLimits {
    streams: u32,
    body_bytes: usize,
    event_bytes: usize,
    page_bytes: usize,
    token_seconds: Option<i64>,
}

pub(super) async fn get(
    caller: Caller,
    context: Context,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let services = &context.services;
    let limits = services.limits.requests;
    let (credential, settings) = (&caller.credential, &services.streams.settings);
    let longest = services.callers.verifier.max_lifetime();
    let modules = services.directory.modules.iter();
    let modules = modules.map(|module| module.name.as_str());
    let session = SessionJson {
        user_id: caller.user.as_str(),
        name: credential.name.as_deref(),
        broker: caller.broker.as_str(),
        teams: caller.teams.iter().map(TeamId::as_str).collect(),
        role: caller.role.as_str(),
        token_id: credential.token_id.as_deref(),
        issued_at: credential.issued_at.map(timestamp),
        expires_at: timestamp(caller.expires_at),
        heartbeat_seconds: settings.heartbeat_seconds,
        expiring_seconds: settings.expiring_seconds,
        limits: SessionLimits {
            streams: settings.streams_per_user,
            body_bytes: limits.body_bytes,
            event_bytes: limits.event_bytes,
            page_bytes: limits.page_bytes,
            token_seconds: longest.map(time::Duration::whole_seconds),
        },
        quotas: session_quotas::of(&caller, services).await,
        modules: modules.collect(),
    };
    Ok(not_stored(HttpResponse::Ok()).json(session))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RevokeBody {
    user: Option<UserId>,
    team: Option<TeamId>,
    token_id: Option<String>,
    broker: Option<bool>,
    #[serde(default, deserialize_with = "in_utc")]
    issued_before: Option<OffsetDateTime>,
    #[serde(default, deserialize_with = "in_utc")]
    expires_at: Option<OffsetDateTime>,
}

/// A time in UTC, as the database has it. The last hours of the year 9999 may be in the year 10000 there.
fn in_utc<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
    let at = time::serde::rfc3339::option::deserialize(deserializer)?;
    let in_utc = |at: OffsetDateTime| at.checked_to_offset(UtcOffset::UTC);
    let too_late = || de::Error::custom("in UTC, the time is after the year 9999");
    at.map(|at| in_utc(at).ok_or_else(too_late)).transpose()
}

/// Ends what is open with tokens, and refuses them.
pub(super) async fn revoke(
    Revoker { caller, .. }: Revoker,
    context: Context,
    _: NoQuery,
    Json(body): Json<RevokeBody>,
) -> Result<HttpResponse, Problem> {
    let new = NewRevocation {
        issued_before: body.issued_before,
        target: target(body)?,
    };
    let sessions = &context.services.callers.sessions;
    let revocation = sessions.revoke(&caller, &new).await?;
    let issued_before = issued_before(&revocation).map(timestamp);
    let kept_until = revocation.kept_until.map(timestamp);
    Ok(HttpResponse::Ok().json(json!({
        "revoked": revocation.what.kind(),
        "issuedBefore": issued_before,
        "keptUntil": kept_until,
    })))
}

fn issued_before(revocation: &Revocation) -> Option<OffsetDateTime> {
    match revocation.what {
        Revoked::Token(_) => None,
        Revoked::User { issued_before, .. }
        | Revoked::Member { issued_before, .. }
        | Revoked::Brokerage { issued_before } => Some(issued_before),
    }
}

fn target(body: RevokeBody) -> Result<RevocationTarget, Problem> {
    let bad = |field: &str, detail| Problem::bad_request(Code::InvalidBody, detail).at(field);
    let is_of_token = body.token_id.is_some();
    if body.expires_at.is_some() && !is_of_token {
        return Err(bad("expiresAt", "expiresAt is for a tokenId only."));
    }
    if body.issued_before.is_some() && is_of_token {
        let detail = "issuedBefore is not for a tokenId, which names one token.";
        return Err(bad("issuedBefore", detail));
    }
    if body.team.is_some() && body.user.is_none() {
        return Err(bad("team", "team needs the user who has left it."));
    }
    match (body.user, body.token_id, body.broker) {
        (Some(user), None, None) => Ok(match body.team {
            Some(team) => RevocationTarget::Member(user, team),
            None => RevocationTarget::User(user),
        }),
        (None, Some(id), None) if is_token_id(&id) => {
            let (id, expires_at) = (id.into(), body.expires_at);
            Ok(RevocationTarget::Token { id, expires_at })
        }
        (None, Some(_), None) => {
            let detail = "A tokenId has 1 to 128 characters, none of which is a control character.";
            Err(bad("tokenId", detail))
        }
        (None, None, Some(true)) => Ok(RevocationTarget::Brokerage),
        (None, None, Some(false)) => Err(bad("broker", "broker must be true, or not there.")),
        _ => Err(Problem::bad_request(
            Code::InvalidBody,
            "Name exactly one of user, tokenId and broker.",
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RenewBody {
    stream: String,
}

/// Gives an open stream the token of this request.
pub(super) async fn renew(
    caller: Caller,
    context: Context,
    _: NoQuery,
    Json(body): Json<RenewBody>,
) -> Result<HttpResponse, Problem> {
    let stream = body.stream.parse::<Uuid>();
    let stream = stream.map_err(|_| RenewalError::UnknownStream)?;
    let sessions = &context.services.callers.sessions;
    sessions.renew(stream, &caller).await?;
    Ok(HttpResponse::Ok().json(json!({
        "stream": stream.simple().to_string(),
        "expiresAt": timestamp(caller.expires_at),
    })))
}

/// A ticket for the address of a stream.
pub(super) async fn ticket(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    _: NoQuery,
    _: OptionalJson<NoFields>,
) -> Result<HttpResponse, Problem> {
    let origin = request.headers().get(header::ORIGIN);
    let member = request.extensions().get::<Member>().cloned();
    let holder = TicketHolder {
        caller: &caller,
        member: member.as_ref(),
        origin: origin.and_then(|origin| origin.to_str().ok()),
    };
    let new = context.services.callers.sessions.ticket(&holder).await?;
    Ok(not_stored(HttpResponse::Created()).json(json!({
        "ticket": new.ticket,
        "useBefore": timestamp(new.use_before),
        "expiresAt": timestamp(new.expires_at),
    })))
}

/// A ticket is refused when its token would be for another brokerage now. The ticket itself does not tell: it has the
/// brokerage that was looked up when it was made.
pub(super) async fn check_ticket_of(
    member: &Member,
    broker: &BrokerId,
    brokerages: Option<&Brokerages>,
) -> Result<(), Problem> {
    let brokerages = brokerages.ok_or(TicketError::Invalid)?;
    match brokerages.find(member).await {
        Ok(now) if now == *broker => Ok(()),
        Ok(_) | Err(LookupError::Unknown) => Err(TicketError::Invalid.into()),
        Err(error @ LookupError::Unavailable) => Err(error.into()),
    }
}

/// No cache keeps the answer.
fn not_stored(mut response: actix_web::HttpResponseBuilder) -> actix_web::HttpResponseBuilder {
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

impl From<RevocationError> for Problem {
    fn from(error: RevocationError) -> Self {
        let detail = error.to_string();
        match error {
            RevocationError::TooFarAhead => {
                Self::bad_request(Code::InvalidBody, detail).at("issuedBefore")
            }
            RevocationError::TooMany => {
                Self::new(StatusCode::CONFLICT, Code::TooManyRevocations, detail).at("tokenId")
            }
            RevocationError::Database(error) => Self::database(&error),
        }
    }
}

impl From<RenewalError> for Problem {
    fn from(error: RenewalError) -> Self {
        let detail = error.to_string();
        match error {
            RenewalError::UnknownStream => {
                Self::new(StatusCode::NOT_FOUND, Code::UnknownStream, detail).at("stream")
            }
            RenewalError::Changed => Self::new(StatusCode::CONFLICT, Code::RightsChanged, detail),
            RenewalError::Database(error) => Self::database(&error),
        }
    }
}

impl From<TicketError> for Problem {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::Invalid => {
                let (status, detail) = (StatusCode::UNAUTHORIZED, error.to_string());
                Self::new(status, Code::TicketInvalid, detail).at("ticket")
            }
            TicketError::NotLookedUp => {
                let (status, detail) = (StatusCode::TOO_MANY_REQUESTS, error.to_string());
                Self::new(status, Code::RateLimited, detail).retry_after(NOT_LOOKED_UP_SECONDS)
            }
            TicketError::Token(error) => error.into(),
            TicketError::Database(error) => Self::database(&error),
        }
    }
}
