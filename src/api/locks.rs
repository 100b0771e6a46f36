//! `/locks`: who edits a record at the moment.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Number, json};

use super::Context;
use super::body::Json;
use super::page::Page;
use super::path::KnownRecord;
use super::problem::Problem;
use super::query::{NoQuery, Query, number, parsed};
use crate::collab::{
    InvalidLease, LeaseDuration, LockClaim, LockListQuery, MOST_LISTED, TakeoverRight,
};
use crate::identity::Caller;
use crate::platform::{ModuleName, RecordId, RecordPath, SessionName};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AcquireBody {
    module: ModuleName,
    record_id: RecordId,
    session: SessionName,
    lease_seconds: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LockClaimBody {
    session: SessionName,
    lease_seconds: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LockRequestBody {
    session: Option<SessionName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LocksQuery {
    module: Option<String>,
    record: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseQuery {
    session: Option<String>,
}

#[derive(Serialize)]
struct LocksFields {
    next: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// Locks a record, or adds a session to the caller's own lock.
pub(super) async fn acquire(
    caller: Caller,
    context: Context,
    _: NoQuery,
    Json(body): Json<AcquireBody>,
) -> Result<HttpResponse, Problem> {
    context.module(&body.module, "module")?;
    let claim = LockClaim {
        record: RecordPath {
            module: body.module,
            id: body.record_id,
        },
        session: body.session,
        lease: lease(body.lease_seconds.as_ref())?,
    };
    context.services.presence.touch(&caller);
    let granted = context.services.locks.acquire(&caller, &claim).await?;
    let mut response = if granted.is_new {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    Ok(response.json(granted.lock))
}

/// Extends the lease of a session.
pub(super) async fn renew(
    caller: Caller,
    context: Context,
    KnownRecord(record): KnownRecord,
    _: NoQuery,
    Json(body): Json<LockClaimBody>,
) -> Result<HttpResponse, Problem> {
    let claim = claim(record, body)?;
    context.services.presence.touch(&caller);
    let lock = context.services.locks.renew(&caller, &claim).await?;
    Ok(HttpResponse::Ok().json(lock))
}

/// Ends the hold of one session of the caller, or of all.
pub(super) async fn release(
    caller: Caller,
    context: Context,
    KnownRecord(record): KnownRecord,
    Query(query): Query<ReleaseQuery>,
) -> Result<HttpResponse, Problem> {
    let session: Option<SessionName> = parsed("session", query.session.as_deref())?;
    let locks = &context.services.locks;
    locks.release(&caller, &record, session.as_ref()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Asks the holder for the lock.
pub(super) async fn request(
    caller: Caller,
    context: Context,
    KnownRecord(record): KnownRecord,
    _: NoQuery,
    Json(body): Json<LockRequestBody>,
) -> Result<HttpResponse, Problem> {
    let locks = &context.services.locks;
    let lock = locks
        .request(&caller, &record, body.session.as_ref())
        .await?;
    Ok(HttpResponse::Accepted().json(json!({"lock": lock})))
}

/// Takes the lock from its holder.
pub(super) async fn take_over(
    caller: Caller,
    context: Context,
    KnownRecord(record): KnownRecord,
    _: NoQuery,
    Json(body): Json<LockClaimBody>,
) -> Result<HttpResponse, Problem> {
    let claim = claim(record, body)?;
    let right = takeover_right(&context, &caller, &claim.record).await?;
    let lock = context
        .services
        .locks
        .take_over(&caller, &claim, &right)
        .await?;
    Ok(HttpResponse::Created().json(lock))
}

/// Lists the locks of records that the caller may see.
pub(super) async fn list(
    caller: Caller,
    context: Context,
    Query(query): Query<LocksQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = number("limit", query.limit.as_deref(), 1..=MOST_LISTED)?;
    let limit = context.page_limit(limit.unwrap_or(MOST_LISTED));
    let query = context.lock_list_query(&query)?;
    let listed = context.services.locks.list(&caller, &query, limit).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "locks",
        items: &listed.locks,
        fields: LocksFields {
            truncated: listed.next.is_some(),
            next: listed.next.map(|next| next.to_string()),
        },
    };
    Ok(page.respond(response))
}

async fn takeover_right(
    context: &Context,
    caller: &Caller,
    record: &RecordPath,
) -> Result<TakeoverRight, Problem> {
    if caller.may_administer() {
        return Ok(TakeoverRight::Admin);
    }
    let lock = context.services.locks.find(caller, record).await?;
    let Some(holder) = lock.map(|lock| lock.holder.user_id) else {
        return Ok(TakeoverRight::No);
    };
    let presence = &context.services.presence;
    if !presence.is_offline(&caller.broker, &holder).await? {
        return Ok(TakeoverRight::No);
    }
    let grace = presence.rules().grace;
    Ok(TakeoverRight::HolderGone { holder, grace })
}

fn claim(record: RecordPath, body: LockClaimBody) -> Result<LockClaim, Problem> {
    Ok(LockClaim {
        record,
        session: body.session,
        lease: lease(body.lease_seconds.as_ref())?,
    })
}

fn lease(seconds: Option<&Number>) -> Result<Option<LeaseDuration>, Problem> {
    let of_number =
        |seconds: &Number| LeaseDuration::of_seconds(seconds.as_u64().ok_or(InvalidLease)?);
    Ok(seconds.map(of_number).transpose()?)
}

impl Context {
    fn lock_list_query(&self, query: &LocksQuery) -> Result<LockListQuery, Problem> {
        let module: Option<ModuleName> = parsed("module", query.module.as_deref())?;
        let record: Option<RecordPath> = parsed("record", query.record.as_deref())?;
        if let Some(module) = &module {
            self.module(module, "module")?;
        }
        if let Some(record) = &record {
            self.module(&record.module, "record")?;
        }
        Ok(LockListQuery {
            module,
            record,
            after: parsed("cursor", query.cursor.as_deref())?,
        })
    }
}
