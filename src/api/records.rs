//! `/records`: the records of those who have no tables of their own.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::get_events::number;
use super::page::Page;
use super::precondition::{fence, versions};
use super::problem::Problem;
use super::record::record_path;
use super::record_fields::FieldsBody;
use super::{Context, query};
use crate::identity::Caller;
use crate::platform::{ModuleName, RecordPath};
use crate::records::{Field, LIMIT_DEFAULT, LIMIT_MOST, Record, RecordChange, RecordListQuery};

/// The module of a path.
type Module = web::Path<String>;
/// The record of a path.
type Path = web::Path<(String, String)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchQuery {
    merge: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
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
    modules: Vec<KindJson<'a>>,
}

#[derive(Serialize)]
struct KindJson<'a> {
    name: &'a ModuleName,
    singular: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    fields: &'a [Field],
}

/// Which records there are, and their fields.
pub async fn catalogue(
    request: HttpRequest,
    _caller: Caller,
    context: Context,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let modules = &context.services.modules;
    let kinds = context.services.records.catalogue().await?.kinds();
    let kinds = kinds.filter_map(|kind| {
        let module = modules.get(&kind.module)?;
        Some(KindJson {
            name: &kind.module,
            singular: module.singular(),
            label: module.label.as_deref(),
            fields: &kind.fields,
        })
    });
    let modules = kinds.collect();
    Ok(HttpResponse::Ok().json(CatalogueJson { modules }))
}

pub async fn list(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    module: Module,
) -> Result<HttpResponse, Problem> {
    let kind = context
        .services
        .records
        .kind(&module_name(&module)?)
        .await?;
    let wanted = context.records_wanted(query::parse(&request)?)?;
    let listed = context
        .services
        .records
        .list(&caller, kind, &wanted)
        .await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "records",
        items: &listed.records,
        fields: json!({"next": listed.next}),
    };
    Ok(page.answer(response))
}

pub async fn get(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    path: Path,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let path = record_path(path.into_inner())?;
    let (record, position) = context.services.records.get(&caller, &path).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", position.to_string()));
    Ok(answer(response, &record))
}

pub async fn create(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (module, payload): (Module, web::Payload),
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let kind = context
        .services
        .records
        .kind(&module_name(&module)?)
        .await?;
    let body: FieldsBody = context.body(&request, payload).await?;
    context.services.presence.touch(&caller);
    let record = context
        .services
        .records
        .create(&caller, kind, body.given())
        .await?;
    let mut response = HttpResponse::Created();
    let location = format!("/records/{}/{}", kind.module, record.id);
    response.insert_header((header::LOCATION, location));
    Ok(answer(response, &record))
}

/// Writes some fields of a record.
pub async fn patch(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (Path, web::Payload),
) -> Result<HttpResponse, Problem> {
    let query: PatchQuery = query::parse(&request)?;
    let mut change = change(&request, path)?;
    change.may_merge = match query.merge.as_deref() {
        None => false,
        Some("fields") => true,
        Some(_) => return Err(Problem::bad_parameter("merge", "must be fields")),
    };
    let body: FieldsBody = context.patch_body(&request, payload).await?;
    context.services.presence.touch(&caller);
    let records = &context.services.records;
    let record = records.patch(&caller, &change, body.given()).await?;
    Ok(answer(HttpResponse::Ok(), &record))
}

pub async fn delete(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    path: Path,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let change = change(&request, path)?;
    context.services.presence.touch(&caller);
    context.services.records.delete(&caller, &change).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub async fn archive(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    path: Path,
) -> Result<HttpResponse, Problem> {
    put_away(request, (caller, context, path), true).await
}

pub async fn restore(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    path: Path,
) -> Result<HttpResponse, Problem> {
    put_away(request, (caller, context, path), false).await
}

async fn put_away(
    request: HttpRequest,
    (caller, context, path): (Caller, Context, Path),
    is_away: bool,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let change = change(&request, path)?;
    context.services.presence.touch(&caller);
    let record = context
        .services
        .records
        .archive(&caller, &change, is_away)
        .await?;
    Ok(answer(HttpResponse::Ok(), &record))
}

fn answer(mut response: HttpResponseBuilder, record: &Record) -> HttpResponse {
    response
        .insert_header((header::ETAG, format!("\"{}\"", record.version)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(&record.json)
}

fn module_name(module: &Module) -> Result<ModuleName, Problem> {
    let name = module.parse();
    name.map_err(|error| Problem::bad_parameter("module", error))
}

fn change(request: &HttpRequest, path: Path) -> Result<RecordChange, Problem> {
    let record: RecordPath = record_path(path.into_inner())?;
    Ok(RecordChange {
        record,
        versions: versions(request)?,
        fence: fence(request)?,
        may_merge: false,
    })
}

impl Context {
    fn records_wanted(&self, query: ListQuery) -> Result<RecordListQuery, Problem> {
        let owner = query.owner.as_deref().map(str::parse).transpose();
        let team = query.team.as_deref().map(str::parse).transpose();
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
            owner: owner.map_err(|error| Problem::bad_parameter("owner", error))?,
            team: team.map_err(|error| Problem::bad_parameter("team", error))?,
            is_archived,
            sort: query.sort,
            limit: self.page_limit(limit.unwrap_or(LIMIT_DEFAULT)),
            cursor: query.cursor,
        })
    }
}
