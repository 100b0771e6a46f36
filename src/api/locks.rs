//! `/locks`: who edits a record at the moment.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Number, json};

use super::Context;
use super::body::{self, JsonBytes};
use super::idempotency::{self, KeyHeader};
use super::page::Page;
use super::path::KnownRecord;
use super::problem::Problem;
use super::query::{NoQuery, Query, number, parsed};
use crate::collab::{
    InvalidLease, LeaseDuration, LockClaim, LockListQuery, MOST_LISTED, TakeoverRight,
};
use crate::identity::Caller;
use crate::log::{IdempotencyKey, Operation};
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
    key: KeyHeader,
    JsonBytes(bytes): JsonBytes,
) -> Result<HttpResponse, Problem> {
    let body: AcquireBody = body::parse(&bytes)?;
    context.module(&body.module, "module")?;
    let claim = LockClaim {
        record: RecordPath {
            module: body.module,
            id: body.record_id,
        },
        session: body.session,
        lease: lease(body.lease_seconds.as_ref())?,
        key: key.key(&caller, Operation::AcquireLock, &bytes),
    };
    let collab = &context.services.collab;
    collab.presence.touch(&caller);
    let granted = collab.locks.acquire(&caller, &claim).await?;
    let mut response = if granted.answer.is_new {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    idempotency::mark(&mut response, granted.is_repeat);
    Ok(response.json(granted.answer.lock))
}

/// Extends the lease of a session.
pub(super) async fn renew(
    caller: Caller,
    context: Context,
    KnownRecord(record): KnownRecord,
    _: NoQuery,
    key: KeyHeader,
    JsonBytes(bytes): JsonBytes,
) -> Result<HttpResponse, Problem> {
    let key = key.key_for(&caller, Operation::RenewLock, &record, &bytes);
    let claim = claim(record, body::parse(&bytes)?, key)?;
    let collab = &context.services.collab;
    collab.presence.touch(&caller);
    let renewed = collab.locks.renew(&caller, &claim).await?;
    let mut response = HttpResponse::Ok();
    idempotency::mark(&mut response, renewed.is_repeat);
    Ok(response.json(renewed.answer))
}

/// Ends the hold of one session of the caller, or of all.
pub(super) async fn release(
    caller: Caller,
    context: Context,
    KnownRecord(record): KnownRecord,
    Query(query): Query<ReleaseQuery>,
    key: KeyHeader,
) -> Result<HttpResponse, Problem> {
    let session: Option<SessionName> = parsed("session", query.session.as_deref())?;
    let named = session.as_ref().map_or("", SessionName::as_str);
    let key = key.key_for(&caller, Operation::ReleaseLock, &record, named.as_bytes());
    let locks = &context.services.collab.locks;
    let released = locks.release(&caller, &record, session.as_ref(), key.as_ref());
    let released = released.await?;
    let mut response = HttpResponse::NoContent();
    idempotency::mark(&mut response, released.is_repeat);
    if let Some(fence) = released.answer {
        response.insert_header(("Lock-Fence", fence));
    }
    Ok(response.finish())
}

/// Asks the holder for the lock.
pub(super) async fn request(
    caller: Caller,
    context: Context,
    KnownRecord(record): KnownRecord,
    _: NoQuery,
    key: KeyHeader,
    JsonBytes(bytes): JsonBytes,
) -> Result<HttpResponse, Problem> {
    let body: LockRequestBody = body::parse(&bytes)?;
    let key = key.key_for(&caller, Operation::RequestLock, &record, &bytes);
    let locks = &context.services.collab.locks;
    let session = body.session.as_ref();
    let requested = locks.request(&caller, &record, session, key.as_ref());
    let requested = requested.await?;
    let mut response = HttpResponse::Accepted();
    idempotency::mark(&mut response, requested.is_repeat);
    Ok(response.json(json!({"lock": requested.answer})))
}

/// Takes the lock from its holder.
pub(super) async fn take_over(
    caller: Caller,
    context: Context,
    KnownRecord(record): KnownRecord,
    _: NoQuery,
    key: KeyHeader,
    JsonBytes(bytes): JsonBytes,
) -> Result<HttpResponse, Problem> {
    let key = key.key_for(&caller, Operation::TakeOverLock, &record, &bytes);
    let claim = claim(record, body::parse(&bytes)?, key)?;
    let right = takeover_right(&context, &caller, &claim.record).await?;
    let locks = &context.services.collab.locks;
    let taken = locks.take_over(&caller, &claim, &right).await?;
    let mut response = HttpResponse::Created();
    idempotency::mark(&mut response, taken.is_repeat);
    Ok(response.json(taken.answer))
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
    let locks = &context.services.collab.locks;
    let listed = locks.list(&caller, &query, limit).await?;
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
    let collab = &context.services.collab;
    let lock = collab.locks.find(caller, record).await?;
    let Some(holder) = lock.map(|lock| lock.holder.user_id) else {
        return Ok(TakeoverRight::No);
    };
    let presence = &collab.presence;
    if !presence.is_offline(&caller.broker, &holder).await? {
        return Ok(TakeoverRight::No);
    }
    let grace = presence.rules().grace;
    Ok(TakeoverRight::HolderGone { holder, grace })
}

fn claim(
    record: RecordPath,
    body: LockClaimBody,
    key: Option<IdempotencyKey>,
) -> Result<LockClaim, Problem> {
    Ok(LockClaim {
        record,
        session: body.session,
        lease: lease(body.lease_seconds.as_ref())?,
        key,
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
