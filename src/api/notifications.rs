//! `/notifications`: notifications of the caller, which of them are read, and preferences.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::audience::AudienceBody;
use super::body::{self, Json, JsonBytes, OptionalJson};
use super::idempotency::{self, KeyHeader};
use super::page::Page;
use super::problem::{Code, Problem};
use super::query::{NoFields, NoQuery, Query, number};
use super::{Context, path};
use crate::identity::Caller;
use crate::inbox::notifications::{
    InvalidText, Level, MarkedRead, NewNotification, NotificationError, NotificationKind,
    NotificationListQuery, NotificationText, Preferences, RecordLink, SystemNotice,
};
use crate::log::{Answered, Audience, Operation};
use crate::platform::{ModuleName, RecordId};

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MOST: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NotificationBody {
    audience: AudienceBody,
    level: Level,
    system: Option<SystemNotice>,
    title: String,
    body: Option<String>,
    module: Option<ModuleName>,
    record_id: Option<RecordId>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ReadAllBody {
    up_to: Option<i64>,
}

/// A preference that is left out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PreferencesBody {
    task_ended: Option<bool>,
    lock_taken_over: Option<bool>,
    lock_requested: Option<bool>,
    record_changed: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationsQuery {
    unread: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn post(
    caller: Caller,
    context: Context,
    _: NoQuery,
    key: KeyHeader,
    JsonBytes(body): JsonBytes,
) -> Result<HttpResponse, Problem> {
    let mut new = context.new_notification(body::parse(&body)?)?;
    new.key = key.key(&caller, Operation::PostNotification, &body);
    let notifications = &context.services.inbox.notifications;
    let posted = notifications.post(&caller, new).await?;
    let mut response = HttpResponse::Created();
    idempotency::mark(&mut response, posted.is_repeat);
    Ok(response.json(posted.answer.json()))
}

/// Lists the caller's notifications, with the number of unread ones.
pub(super) async fn list(
    caller: Caller,
    context: Context,
    Query(query): Query<NotificationsQuery>,
) -> Result<HttpResponse, Problem> {
    let query = context.notification_list_query(&query)?;
    let notifications = &context.services.inbox.notifications;
    let listed = notifications.list(&caller, query).await?;
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
    Ok(page.respond(response))
}

/// Marks one notification as read.
pub(super) async fn read(
    caller: Caller,
    context: Context,
    NotificationId(id): NotificationId,
    _: NoQuery,
    key: KeyHeader,
    _: OptionalJson<NoFields>,
) -> Result<HttpResponse, Problem> {
    let key = key.key_for(&caller, Operation::ReadNotification, id, &[]);
    let notifications = &context.services.inbox.notifications;
    Ok(marked_read(
        notifications.read(&caller, id, key.as_ref()).await?,
    ))
}

/// Marks all notifications as read, or all up to one.
pub(super) async fn read_all(
    caller: Caller,
    context: Context,
    _: NoQuery,
    key: KeyHeader,
    OptionalJson(body): OptionalJson<ReadAllBody>,
) -> Result<HttpResponse, Problem> {
    if body.up_to.is_some_and(|up_to| up_to < 1) {
        let detail = "upTo is the id of a notification, 1 or more.";
        return Err(Problem::bad_request(Code::InvalidBody, detail).at("upTo"));
    }
    let up_to = body.up_to.unwrap_or_default();
    let key = key.key_for(&caller, Operation::ReadAllNotifications, up_to, &[]);
    let notifications = &context.services.inbox.notifications;
    let read = notifications.read_all(&caller, body.up_to, key.as_ref());
    Ok(marked_read(read.await?))
}

fn marked_read(Answered { answer, is_repeat }: Answered<MarkedRead>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    idempotency::mark(&mut response, is_repeat);
    if let Some(position) = answer.position {
        response.insert_header(("Stream-Position", position));
    }
    response.json(json!({"unread": answer.unread}))
}

/// The kinds of notifications that the caller wants.
pub(super) async fn preferences(
    caller: Caller,
    context: Context,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let notifications = &context.services.inbox.notifications;
    let preferences = notifications.preferences(&caller).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .json(preferences))
}

pub(super) async fn set_preferences(
    caller: Caller,
    context: Context,
    _: NoQuery,
    Json(body): Json<PreferencesBody>,
) -> Result<HttpResponse, Problem> {
    let named = [
        (NotificationKind::TaskEnded, body.task_ended),
        (NotificationKind::LockTakenOver, body.lock_taken_over),
        (NotificationKind::LockRequested, body.lock_requested),
        (NotificationKind::RecordChanged, body.record_changed),
    ];
    let changes = named
        .into_iter()
        .filter_map(|(kind, is_on)| Some((kind, is_on?)));
    let changes = Preferences(changes.collect());
    let notifications = &context.services.inbox.notifications;
    let preferences = notifications.set_preferences(&caller, &changes).await?;
    Ok(HttpResponse::Ok().json(preferences))
}

/// `{id}` in the path of a route.
pub(super) struct NotificationId(i64);

impl FromRequest for NotificationId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(path::variables(request).and_then(|text: String| id("id", &text).map(Self)))
    }
}

/// The id of a notification in the parameter `field`.
fn id(field: &str, text: &str) -> Result<i64, Problem> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|id| is_number && *id > 0);
    number.ok_or_else(|| Problem::bad_parameter(field, "must be the id of a notification"))
}

impl Context {
    fn notification_list_query(
        &self,
        query: &NotificationsQuery,
    ) -> Result<NotificationListQuery, Problem> {
        let only_unread = match query.unread.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Problem::bad_parameter("unread", "must be true or false")),
        };
        let limit = number("limit", query.limit.as_deref(), 1..=LIMIT_MOST)?;
        let before = query.cursor.as_deref().map(|cursor| id("cursor", cursor));
        Ok(NotificationListQuery {
            only_unread,
            before: before.transpose()?,
            limit: self.page_limit(limit.unwrap_or(LIMIT_DEFAULT)),
        })
    }

    fn new_notification(&self, body: NotificationBody) -> Result<NewNotification, Problem> {
        let invalid = |field: &'static str| {
            move |error: InvalidText| {
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
        let text = body.body.as_deref().map(NotificationText::body).transpose();
        Ok(NewNotification {
            audience,
            level: body.level,
            system: body.system,
            title: NotificationText::title(&body.title).map_err(invalid("title"))?,
            body: text.map_err(invalid("body"))?,
            record: body.module.map(|module| RecordLink {
                module,
                record: body.record_id,
            }),
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
                let detail = "You may notify yourself and your teams. Only admins and services \
                              may notify others.";
                Self::new(StatusCode::FORBIDDEN, Code::AudienceRefused, detail).at("audience")
            }
            NotificationError::NotYourNotice => {
                let detail = "Only admins and services may send notices.";
                Self::new(StatusCode::FORBIDDEN, Code::RoleNeeded, detail).at("system")
            }
            NotificationError::Quota(quota) => quota.into(),
            NotificationError::KeyReused => crate::log::PublishError::KeyReused.into(),
            NotificationError::Busy => Self::unavailable(
                Code::Busy,
                "Others are changing these notifications. Nothing was changed. Try again.",
            ),
            NotificationError::Database(error) => Self::database(&error),
        }
    }
}
