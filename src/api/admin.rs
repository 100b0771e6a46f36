//! `/admin`: what admins see of the running service, and do.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::Context;
use super::admin_overview::OverviewJson;
use super::body::OptionalJson;
use super::caller_rules::Administrator;
use super::page::respond_json;
use super::path::PlainId;
use super::problem::{Code, Problem};
use super::query::{NoFields, NoQuery, Query, number, parsed};
use crate::log::poison::PoisonRow;
use crate::log::timestamp;
use crate::operations::{DisconnectError, PoisonList, SetAsideError};
use crate::platform::UserId;
use crate::sessions::connections::ConnectionQuery;

const CONNECTIONS_DEFAULT: usize = 100;
const CONNECTIONS_MOST: usize = 200;
const ROWS_DEFAULT: i64 = 50;
const ROWS_MOST: i64 = 200;

pub(super) async fn overview(
    Administrator { caller, .. }: Administrator,
    context: Context,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let operations = &context.services.operations;
    let overview = operations.overview(&caller.broker).await;
    let overview = OverviewJson::of(&caller.broker, &overview, operations);
    let json = serde_json::to_string(&overview).unwrap_or_default();
    Ok(respond_json(HttpResponse::Ok(), json))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionsQuery {
    user: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn connections(
    Administrator { caller, .. }: Administrator,
    context: Context,
    Query(query): Query<ConnectionsQuery>,
) -> Result<HttpResponse, Problem> {
    let user: Option<UserId> = parsed("user", query.user.as_deref())?;
    let limit = number("limit", query.limit.as_deref(), 1..=CONNECTIONS_MOST)?;
    let after = query.cursor.map(|cursor| PlainId::parse("cursor", cursor));
    let query = ConnectionQuery {
        user,
        after: after.transpose()?.map(|PlainId(after)| after),
        limit: limit.unwrap_or(CONNECTIONS_DEFAULT),
    };
    let operations = &context.services.operations;
    let list = operations.connections(&caller.broker, query).await;
    let json = serde_json::to_string(&list).unwrap_or_default();
    Ok(respond_json(HttpResponse::Ok(), json))
}

pub(super) async fn disconnect(
    Administrator { caller, .. }: Administrator,
    context: Context,
    PlainId(id): PlainId,
    _: NoQuery,
    _: OptionalJson<NoFields>,
) -> Result<HttpResponse, Problem> {
    let operations = &context.services.operations;
    let instance = operations.disconnect(&caller, &id).await?;
    Ok(HttpResponse::Ok().json(json!({"id": id, "instance": instance})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoisonQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn poison(
    Administrator { caller, .. }: Administrator,
    context: Context,
    Query(query): Query<PoisonQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = number("limit", query.limit.as_deref(), 1..=ROWS_MOST)?;
    let before = number("cursor", query.cursor.as_deref(), 0..=i64::MAX)?;
    let operations = &context.services.operations;
    let limit = limit.unwrap_or(ROWS_DEFAULT);
    let list = operations.set_aside(&caller.broker, before, limit).await?;
    let PoisonList { rows, counts, next } = list;
    let rows: Vec<_> = rows.iter().map(poison_json).collect();
    let list = json!({
        "rows": rows,
        "total": counts.of_brokerage,
        "withoutBrokerage": counts.without_brokerage,
        "next": next.map(|next| next.to_string()),
    });
    Ok(respond_json(HttpResponse::Ok(), list.to_string()))
}

fn poison_json(row: &PoisonRow) -> serde_json::Value {
    json!({
        "id": row.number.to_string(),
        "type": row.event_type,
        "module": row.module,
        "recordId": row.record_id,
        "userId": row.user_id,
        "audience": row.audience,
        "reason": row.reason,
        "setAsideAt": timestamp(row.set_aside_at),
        "canRetry": row.can_retry,
    })
}

pub(super) async fn retry_poison(
    Administrator { caller, .. }: Administrator,
    context: Context,
    PlainId(id): PlainId,
    _: NoQuery,
    _: OptionalJson<NoFields>,
) -> Result<HttpResponse, Problem> {
    let operations = &context.services.operations;
    let row = row_number(&id)?;
    operations.retry_set_aside(&caller, row).await?;
    Ok(HttpResponse::Ok().json(json!({"id": id})))
}

pub(super) async fn discard_poison(
    Administrator { caller, .. }: Administrator,
    context: Context,
    PlainId(id): PlainId,
    _: NoQuery,
    _: OptionalJson<NoFields>,
) -> Result<HttpResponse, Problem> {
    let operations = &context.services.operations;
    let row = row_number(&id)?;
    operations.discard_set_aside(&caller, row).await?;
    Ok(HttpResponse::Ok().json(json!({"id": id})))
}

/// A text that is no number is the id of no row.
fn row_number(id: &str) -> Result<i64, SetAsideError> {
    id.parse().map_err(|_| SetAsideError::Unknown)
}

impl From<DisconnectError> for Problem {
    fn from(error: DisconnectError) -> Self {
        match error {
            DisconnectError::Unknown => {
                let detail = error.to_string();
                Self::new(StatusCode::NOT_FOUND, Code::UnknownConnection, detail)
            }
            DisconnectError::Database(error) => Self::database(&error),
        }
    }
}

impl From<SetAsideError> for Problem {
    fn from(error: SetAsideError) -> Self {
        let detail = error.to_string();
        match error {
            SetAsideError::Unknown => Self::new(StatusCode::NOT_FOUND, Code::UnknownPoison, detail),
            SetAsideError::CannotRetry => {
                Self::new(StatusCode::CONFLICT, Code::CannotRetry, detail)
            }
            SetAsideError::Database(error) => Self::database(&error),
        }
    }
}
