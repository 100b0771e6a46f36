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
use super::{Service, query};
use crate::crm::{Change, Field, LIMIT_DEFAULT, LIMIT_MOST, Record, Wanted};
use crate::identity::Caller;
use crate::ids::{ModuleName, RecordPath};

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
    service: Service,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let modules = &service.app.modules;
    let kinds = service.app.crm.catalogue().await?.kinds();
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

/// A page of records.
pub async fn list(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    module: Module,
) -> Result<HttpResponse, Problem> {
    let kind = service.app.crm.kind(&module_name(&module)?).await?;
    let wanted = service.records_wanted(query::parse(&request)?)?;
    let listed = service.app.crm.list(&caller, kind, &wanted).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "records",
        items: &listed.records,
        fields: json!({"next": listed.next}),
    };
    Ok(page.answer(response))
}

/// One record.
pub async fn get(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    path: Path,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let path = record_path(path.into_inner())?;
    let (record, position) = service.app.crm.get(&caller, &path).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", position.to_string()));
    Ok(answer(response, &record))
}

/// Makes a record.
pub async fn create(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    (module, payload): (Module, web::Payload),
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let kind = service.app.crm.kind(&module_name(&module)?).await?;
    let body: FieldsBody = service.body(&request, payload).await?;
    service.app.presence.touch(&caller);
    let record = service.app.crm.create(&caller, kind, body.given()).await?;
    let mut response = HttpResponse::Created();
    let location = format!("/records/{}/{}", kind.module, record.id);
    response.insert_header((header::LOCATION, location));
    Ok(answer(response, &record))
}

/// Writes some fields of a record.
pub async fn patch(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    (path, payload): (Path, web::Payload),
) -> Result<HttpResponse, Problem> {
    let query: PatchQuery = query::parse(&request)?;
    let mut change = change(&request, path)?;
    change.may_merge = match query.merge.as_deref() {
        None => false,
        Some("fields") => true,
        Some(_) => return Err(Problem::bad_parameter("merge", "must be fields")),
    };
    let body: FieldsBody = service.patch_body(&request, payload).await?;
    service.app.presence.touch(&caller);
    let crm = &service.app.crm;
    let record = crm.patch(&caller, &change, body.given()).await?;
    Ok(answer(HttpResponse::Ok(), &record))
}

/// Removes a record.
pub async fn delete(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    path: Path,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let change = change(&request, path)?;
    service.app.presence.touch(&caller);
    service.app.crm.delete(&caller, &change).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Puts a record away.
pub async fn archive(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    path: Path,
) -> Result<HttpResponse, Problem> {
    put_away(request, (caller, service, path), true).await
}

/// Brings a record back.
pub async fn restore(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    path: Path,
) -> Result<HttpResponse, Problem> {
    put_away(request, (caller, service, path), false).await
}

async fn put_away(
    request: HttpRequest,
    (caller, service, path): (Caller, Service, Path),
    is_away: bool,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let change = change(&request, path)?;
    service.app.presence.touch(&caller);
    let record = service.app.crm.archive(&caller, &change, is_away).await?;
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

fn change(request: &HttpRequest, path: Path) -> Result<Change, Problem> {
    let record: RecordPath = record_path(path.into_inner())?;
    Ok(Change {
        record,
        versions: versions(request)?,
        fence: fence(request)?,
        may_merge: false,
    })
}

impl Service {
    fn records_wanted(&self, query: ListQuery) -> Result<Wanted, Problem> {
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
        Ok(Wanted {
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
