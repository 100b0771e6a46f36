//! `/records`: records for customers without tables of their own.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use super::body::{self, JsonBytes, MergePatchBytes, OptionalJson};
use super::idempotency::{self, KeyHeader};
use super::page::Page;
use super::precondition::Preconditions;
use super::problem::Problem;
use super::query::{NoFields, NoQuery, Query, number, parsed};
use super::record_fields::FieldsBody;
use crate::identity::Caller;
use crate::log::{Answered, Operation};
use crate::platform::{ModuleName, RecordPath};
use crate::records::{Field, LIMIT_DEFAULT, LIMIT_MOST, Record, RecordChange, RecordListQuery};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatchQuery {
    merge: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordsQuery {
    status: Option<String>,
    q: Option<String>,
    owner: Option<String>,
    team: Option<String>,
    archived: Option<String>,
    sort: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct CatalogueJson<'a> {
    modules: Vec<ModuleJson<'a>>,
}

#[derive(Serialize)]
struct ModuleJson<'a> {
    name: &'a ModuleName,
    singular: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    fields: &'a [Field],
}

/// Lists the modules whose records are stored here, with their fields.
pub(super) async fn catalogue(
    _: Caller,
    context: Context,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let modules = &context.services.directory.modules;
    let kinds = context.services.records.catalogue().await?.kinds();
    let kinds = kinds.filter_map(|kind| {
        let module = modules.get(&kind.module)?;
        Some(ModuleJson {
            name: &kind.module,
            singular: module.singular(),
            label: module.label.as_deref(),
            fields: &kind.fields,
        })
    });
    let modules = kinds.collect();
    Ok(HttpResponse::Ok().json(CatalogueJson { modules }))
}

pub(super) async fn list(
    caller: Caller,
    context: Context,
    module: ModuleName,
    Query(query): Query<RecordsQuery>,
) -> Result<HttpResponse, Problem> {
    let records = &context.services.records;
    let kind = records.kind(&module).await?;
    let query = context.record_list_query(query)?;
    let listed = records.list(&caller, kind, &query).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "records",
        items: &listed.records,
        fields: json!({"next": listed.next}),
    };
    Ok(page.respond(response))
}

pub(super) async fn get(
    caller: Caller,
    context: Context,
    path: RecordPath,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let (record, position) = context.services.records.get(&caller, &path).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", position.to_string()));
    Ok(respond(response, &record))
}

pub(super) async fn create(
    caller: Caller,
    context: Context,
    module: ModuleName,
    _: NoQuery,
    key: KeyHeader,
    JsonBytes(bytes): JsonBytes,
) -> Result<HttpResponse, Problem> {
    let body: FieldsBody = body::parse(&bytes)?;
    let records = &context.services.records;
    let kind = records.kind(&module).await?;
    context.services.collab.presence.touch(&caller);
    let key = key.key_for(&caller, Operation::CreateRecord, &module, &bytes);
    let created = records.create(&caller, kind, body.given(), key.as_ref());
    let created = created.await?;
    let mut response = HttpResponse::Created();
    let location = format!("/records/{}/{}", kind.module, created.answer.id);
    response.insert_header((header::LOCATION, location));
    Ok(answer(response, &created))
}

/// Writes some fields of a record.
pub(super) async fn patch(
    caller: Caller,
    context: Context,
    mut change: RecordChange,
    Query(query): Query<PatchQuery>,
    key: KeyHeader,
    MergePatchBytes(bytes): MergePatchBytes,
) -> Result<HttpResponse, Problem> {
    let body: FieldsBody = body::parse(&bytes)?;
    change.may_merge = match query.merge.as_deref() {
        None => false,
        Some("fields") => true,
        Some(_) => return Err(Problem::bad_parameter("merge", "must be fields")),
    };
    change.key = key.key_for(&caller, Operation::PatchRecord, &change.record, &bytes);
    context.services.collab.presence.touch(&caller);
    let records = &context.services.records;
    let patched = records.patch(&caller, &change, body.given()).await?;
    Ok(answer(HttpResponse::Ok(), &patched))
}

pub(super) async fn delete(
    caller: Caller,
    context: Context,
    mut change: RecordChange,
    _: NoQuery,
    key: KeyHeader,
) -> Result<HttpResponse, Problem> {
    change.key = key.key_for(&caller, Operation::DeleteRecord, &change.record, &[]);
    context.services.collab.presence.touch(&caller);
    let deleted = context.services.records.delete(&caller, &change).await?;
    let mut response = HttpResponse::NoContent();
    idempotency::mark(&mut response, deleted.is_repeat);
    response.insert_header(etag(deleted.answer.version));
    Ok(response.finish())
}

pub(super) async fn archive(
    caller: Caller,
    context: Context,
    mut change: RecordChange,
    _: NoQuery,
    key: KeyHeader,
    _: OptionalJson<NoFields>,
) -> Result<HttpResponse, Problem> {
    change.key = key.key_for(&caller, Operation::ArchiveRecord, &change.record, &[]);
    set_archived(&caller, &context, &change, true).await
}

pub(super) async fn restore(
    caller: Caller,
    context: Context,
    mut change: RecordChange,
    _: NoQuery,
    key: KeyHeader,
    _: OptionalJson<NoFields>,
) -> Result<HttpResponse, Problem> {
    change.key = key.key_for(&caller, Operation::RestoreRecord, &change.record, &[]);
    set_archived(&caller, &context, &change, false).await
}

async fn set_archived(
    caller: &Caller,
    context: &Context,
    change: &RecordChange,
    is_archived: bool,
) -> Result<HttpResponse, Problem> {
    context.services.collab.presence.touch(caller);
    let records = &context.services.records;
    let moved = records.archive(caller, change, is_archived).await?;
    Ok(answer(HttpResponse::Ok(), &moved))
}

fn answer(mut response: HttpResponseBuilder, answered: &Answered<Record>) -> HttpResponse {
    idempotency::mark(&mut response, answered.is_repeat);
    respond(response, &answered.answer)
}

fn etag(version: i64) -> (HeaderName, String) {
    (header::ETAG, format!("\"{version}\""))
}

fn respond(mut response: HttpResponseBuilder, record: &Record) -> HttpResponse {
    response
        .insert_header(etag(record.version))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(&record.json)
}

/// The path of a record and the conditions of its change.
impl FromRequest for RecordChange {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            RecordPath::extract(request)
                .into_inner()
                .and_then(|record| {
                    let conditions = Preconditions::of(request)?;
                    Ok(Self {
                        record,
                        versions: conditions.versions,
                        fence: conditions.fence,
                        may_merge: false,
                        key: None,
                    })
                }),
        )
    }
}

impl Context {
    fn record_list_query(&self, query: RecordsQuery) -> Result<RecordListQuery, Problem> {
        let is_archived = match query.archived.as_deref() {
            None | Some("false") => Some(false),
            Some("true") => Some(true),
            Some("all") => None,
            Some(_) => {
                let reason = "must be false, true or all";
                return Err(Problem::bad_parameter("archived", reason));
            }
        };
        let limit = number("limit", query.limit.as_deref(), 1..=LIMIT_MOST)?;
        Ok(RecordListQuery {
            status: query.status,
            search: query.q,
            owner: parsed("owner", query.owner.as_deref())?,
            team: parsed("team", query.team.as_deref())?,
            is_archived,
            sort: query.sort,
            limit: self.page_limit(limit.unwrap_or(LIMIT_DEFAULT)),
            cursor: query.cursor,
        })
    }
}
