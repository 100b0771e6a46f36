//! `/notifications`: what people are told by name, and what of it they have read.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::body;
use super::get_events::number;
use super::page::Page;
use super::post_events::AudienceBody;
use super::problem::{Code, Problem};
use super::{Context, idempotency, query};
use crate::identity::Caller;
use crate::inbox::notifications::{
    Asked, Kind, Level, NotificationError, Post, Preferences, System, Text,
};
use crate::log::Audience;
use crate::log::Operation;
use crate::platform::{ModuleName, RecordId};

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MOST: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PostBody {
    audience: AudienceBody,
    level: Level,
    system: Option<System>,
    title: String,
    body: Option<String>,
    module: Option<ModuleName>,
    record_id: Option<RecordId>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ReadAllBody {
    up_to: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

/// Each of them may be left out: it stays as it is then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PreferencesBody {
    task_ended: Option<bool>,
    lock_taken_over: Option<bool>,
    lock_requested: Option<bool>,
    record_changed: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    unread: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

pub async fn post(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let key = idempotency::name(&request)?;
    let body = body::read(&request, payload, context.services.limits.body_bytes).await?;
    let mut post = context.checked(body::parse(&body)?)?;
    let operation = Operation::PostNotification;
    post.key = key.map(|name| idempotency::key(&caller, operation, name, &body));
    let posted = context.services.notifications.post(&caller, post).await?;
    let mut response = HttpResponse::Created();
    if posted.is_repeat {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    Ok(response.json(posted.notification.json()))
}

/// The caller's notifications, and how many are unread.
pub async fn list(
    request: HttpRequest,
    caller: Caller,
    context: Context,
) -> Result<HttpResponse, Problem> {
    let asked = context.notifications_asked(&query::parse(&request)?)?;
    let listed = context.services.notifications.list(&caller, asked).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "notifications",
        items: &listed.notifications,
        fields: json!({
            "unread": listed.unread,
            "next": listed.next.map(|next| next.to_string()),
        }),
    };
    Ok(page.answer(response))
}

/// The caller has read one.
pub async fn read(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (web::Path<String>, web::Payload),
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let id = id("id", &path)?;
    let NoFields {} = context.body_if_any(&request, payload).await?;
    let unread = context.services.notifications.read(&caller, id).await?;
    Ok(HttpResponse::Ok().json(json!({"unread": unread.0})))
}

/// The caller has read all of them, or all up to one.
pub async fn read_all(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let body: ReadAllBody = context.body_if_any(&request, payload).await?;
    if body.up_to.is_some_and(|up_to| up_to < 1) {
        let detail = "upTo is the id of a notification, 1 or more.";
        return Err(Problem::bad_request(Code::InvalidBody, detail).at("upTo"));
    }
    let unread = context
        .services
        .notifications
        .read_all(&caller, body.up_to)
        .await?;
    Ok(HttpResponse::Ok().json(json!({"unread": unread.0})))
}

/// What the caller wants to be told of by itself.
pub async fn preferences(
    request: HttpRequest,
    caller: Caller,
    context: Context,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let preferences = context.services.notifications.preferences(&caller).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(preferences))
}

pub async fn prefer(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let body: PreferencesBody = context.body(&request, payload).await?;
    let named = [
        (Kind::TaskEnded, body.task_ended),
        (Kind::LockTakenOver, body.lock_taken_over),
        (Kind::LockRequested, body.lock_requested),
        (Kind::RecordChanged, body.record_changed),
    ];
    let changes = named
        .into_iter()
        .filter_map(|(kind, is_on)| Some((kind, is_on?)));
    let changes = Preferences(changes.collect());
    let preferences = context
        .services
        .notifications
        .prefer(&caller, &changes)
        .await?;
    Ok(HttpResponse::Ok().json(preferences))
}

/// The number of a notification, as a parameter has it.
fn id(field: &str, text: &str) -> Result<i64, Problem> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|id| is_number && *id > 0);
    number.ok_or_else(|| Problem::bad_parameter(field, "must be the id of a notification"))
}

impl Context {
    fn notifications_asked(&self, query: &ListQuery) -> Result<Asked, Problem> {
        let only_unread = match query.unread.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Problem::bad_parameter("unread", "must be true or false")),
        };
        let limit = number("limit", query.limit.as_deref(), 1..=LIMIT_MOST)?;
        let before = query.cursor.as_deref().map(|cursor| id("cursor", cursor));
        Ok(Asked {
            only_unread,
            before: before.transpose()?,
            limit: self.page_limit(limit.unwrap_or(LIMIT_DEFAULT)),
        })
    }

    fn checked(&self, body: PostBody) -> Result<Post, Problem> {
        let invalid = |field: &'static str| {
            move |error: crate::inbox::notifications::InvalidText| {
                let detail = format!("{field} {error}.");
                Problem::bad_request(Code::InvalidBody, detail).at(field)
            }
        };
        let audience = Audience::from(body.audience);
        if body.system.is_some() && audience != Audience::Broker {
            let detail = "Notices are for the whole broker: {\"broker\":true}.";
            return Err(Problem::bad_request(Code::InvalidBody, detail).at("audience"));
        }
        if body.record_id.is_some() && body.module.is_none() {
            let detail = "A recordId needs the module it belongs to.";
            return Err(Problem::bad_request(Code::ModuleMissing, detail).at("module"));
        }
        if let Some(module) = &body.module {
            self.module(module, "module")?;
        }
        let text = body.body.as_deref().map(Text::body).transpose();
        Ok(Post {
            audience,
            level: body.level,
            system: body.system,
            title: Text::title(&body.title).map_err(invalid("title"))?,
            body: text.map_err(invalid("body"))?,
            record: body.module.map(|module| (module, body.record_id)),
            key: None,
        })
    }
}

impl From<NotificationError> for Problem {
    fn from(error: NotificationError) -> Self {
        match error {
            NotificationError::Unknown(id) => {
                let detail = format!("There is no notification {id} of yours.");
                Self::new(StatusCode::NOT_FOUND, Code::UnknownNotification, detail).at("id")
            }
            NotificationError::NotYourAudience => {
                let detail = "You may tell yourself and your teams. Others are told by admins and \
                              services.";
                Self::new(StatusCode::FORBIDDEN, Code::AudienceRefused, detail).at("audience")
            }
            NotificationError::NotYourNotice => {
                let detail = "Notices are given by admins and services.";
                Self::new(StatusCode::FORBIDDEN, Code::RoleNeeded, detail).at("system")
            }
            NotificationError::KeyReused => crate::log::PublishError::KeyReused.into(),
            NotificationError::Busy => Self::unavailable(
                Code::Busy,
                "Others are changing these notifications. Nothing was changed. Try again.",
            ),
            NotificationError::Database(error) => Self::database(&error),
        }
    }
}
