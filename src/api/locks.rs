//! `/locks`: who is at work on a record.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Number, json};

use super::get_events::number;
use super::page::Page;
use super::problem::Problem;
use super::record::record_path;
use super::{Context, query};
use crate::collab::{
    InvalidLease, LeaseDuration, LockClaim, LockListQuery, MOST_LISTED, TakeoverRight,
};
use crate::identity::Caller;
use crate::platform::{ModuleName, RecordId, RecordPath, SessionName};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AcquireBody {
    module: ModuleName,
    record_id: RecordId,
    session: SessionName,
    lease_seconds: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClaimBody {
    session: SessionName,
    lease_seconds: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestBody {
    session: Option<SessionName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    module: Option<String>,
    record: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseQuery {
    session: Option<String>,
}

#[derive(Serialize)]
struct LocksFields {
    next: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// The record of a path.
type Path = web::Path<(String, String)>;

/// Locks a record, or joins the caller's own lock.
pub async fn acquire(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let body: AcquireBody = context.lone_body(&request, payload).await?;
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

/// Lengthens the lease of a session.
pub async fn renew(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (Path, web::Payload),
) -> Result<HttpResponse, Problem> {
    let claim = context.claim(&request, path, payload).await?;
    context.services.presence.touch(&caller);
    let lock = context.services.locks.renew(&caller, &claim).await?;
    Ok(HttpResponse::Ok().json(lock))
}

/// Lets a session go, or all of the caller's.
pub async fn release(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    path: Path,
) -> Result<HttpResponse, Problem> {
    let record = context.record(path)?;
    let query: ReleaseQuery = query::parse(&request)?;
    let session = query.session.as_deref().map(str::parse).transpose();
    let session = session.map_err(|error| Problem::bad_parameter("session", error))?;
    let locks = &context.services.locks;
    locks.release(&caller, &record, session.as_ref()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Asks the holder for the lock.
pub async fn request(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (Path, web::Payload),
) -> Result<HttpResponse, Problem> {
    let record = context.record(path)?;
    let body: RequestBody = context.lone_body(&request, payload).await?;
    let locks = &context.services.locks;
    let lock = locks
        .request(&caller, &record, body.session.as_ref())
        .await?;
    Ok(HttpResponse::Accepted().json(json!({"lock": lock})))
}

/// Takes the lock from its holder.
pub async fn take_over(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (Path, web::Payload),
) -> Result<HttpResponse, Problem> {
    let claim = context.claim(&request, path, payload).await?;
    let right = takeover_right(&context, &caller, &claim.record).await?;
    let lock = context
        .services
        .locks
        .take_over(&caller, &claim, &right)
        .await?;
    Ok(HttpResponse::Created().json(lock))
}

/// What is held, as far as the caller may see it.
pub async fn list(
    request: HttpRequest,
    caller: Caller,
    context: Context,
) -> Result<HttpResponse, Problem> {
    let query: ListQuery = query::parse(&request)?;
    let limit = number("limit", query.limit.as_deref(), 1..=MOST_LISTED)?;
    let limit = context.page_limit(limit.unwrap_or(MOST_LISTED));
    let wanted = context.wanted(&query)?;
    let listed = context.services.locks.list(&caller, &wanted, limit).await?;
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
    Ok(page.answer(response))
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

fn lease(seconds: Option<&Number>) -> Result<Option<LeaseDuration>, Problem> {
    let of_number =
        |seconds: &Number| LeaseDuration::of_seconds(seconds.as_u64().ok_or(InvalidLease)?);
    Ok(seconds.map(of_number).transpose()?)
}

impl Context {
    /// The record of a path, of a module that there is.
    fn record(&self, path: Path) -> Result<RecordPath, Problem> {
        let record = record_path(path.into_inner())?;
        self.module(&record.module, "module")?;
        Ok(record)
    }

    /// A body, of a request that has no parameters.
    async fn lone_body<T: DeserializeOwned>(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> Result<T, Problem> {
        query::none(request)?;
        self.body(request, payload).await
    }

    async fn claim(
        &self,
        request: &HttpRequest,
        path: Path,
        payload: web::Payload,
    ) -> Result<LockClaim, Problem> {
        let record = self.record(path)?;
        let body: ClaimBody = self.lone_body(request, payload).await?;
        Ok(LockClaim {
            record,
            session: body.session,
            lease: lease(body.lease_seconds.as_ref())?,
        })
    }

    fn wanted(&self, query: &ListQuery) -> Result<LockListQuery, Problem> {
        let module = query.module.as_deref().map(str::parse::<ModuleName>);
        let module = module.transpose();
        let module = module.map_err(|error| Problem::bad_parameter("module", error))?;
        let record = query.record.as_deref().map(str::parse::<RecordPath>);
        let record = record.transpose();
        let record = record.map_err(|error| Problem::bad_parameter("record", error))?;
        if let Some(module) = &module {
            self.module(module, "module")?;
        }
        if let Some(record) = &record {
            self.module(&record.module, "record")?;
        }
        let after = query.cursor.as_deref().map(str::parse).transpose();
        let after = after.map_err(|error| Problem::bad_parameter("cursor", error))?;
        Ok(LockListQuery {
            module,
            record,
            after,
        })
    }
}
