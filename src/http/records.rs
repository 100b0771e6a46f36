//! `/records`: the records of those who have no tables of their own.

use std::fmt;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::problem::Problem;
use super::record::record_path;
use super::{Service, query};
use crate::crm::{Change, Field, Given, LIMIT_DEFAULT, LIMIT_MOST, Record, Wanted};
use crate::identity::Caller;
use crate::ids::{ModuleName, RecordPath};

/// Versions that one `If-Match` may name.
const MOST_VERSIONS: usize = 20;

/// The module of a path.
type Module = web::Path<String>;
/// The record of a path.
type Path = web::Path<(String, String)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

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

#[derive(Serialize)]
struct ListedJson<'a> {
    records: Vec<&'a RawValue>,
    next: Option<&'a str>,
}

/// Fields by name, each once, with values that are still as they were sent.
struct FieldsBody(Vec<(String, Box<RawValue>)>);

impl FieldsBody {
    fn given(&self) -> impl Iterator<Item = (&str, Given<'_>)> {
        let fields = self.0.iter();
        fields.map(|(name, value)| (name.as_str(), Given::Json(value)))
    }
}

impl<'de> Deserialize<'de> for FieldsBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = FieldsBody;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldsBody, A::Error> {
                let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
                let mut names = std::collections::HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("duplicate field `{name}`")));
                    }
                    fields.push((name, value));
                }
                Ok(FieldsBody(fields))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Which records there are, and their fields.
pub async fn catalogue(
    request: HttpRequest,
    _caller: Caller,
    service: Service,
) -> Result<HttpResponse, Problem> {
    let NoQuery {} = query::parse(&request)?;
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
    let wanted = wanted(query::parse(&request)?)?;
    let listed = service.app.crm.list(&caller, kind, &wanted).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("Stream-Position", listed.position.to_string()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(ListedJson {
            records: listed.records.iter().map(|record| &*record.json).collect(),
            next: listed.next.as_deref(),
        }))
}

/// One record.
pub async fn get(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    path: Path,
) -> Result<HttpResponse, Problem> {
    let NoQuery {} = query::parse(&request)?;
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
    let NoQuery {} = query::parse(&request)?;
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
    let NoQuery {} = query::parse(&request)?;
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
    let NoQuery {} = query::parse(&request)?;
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

/// The versions of `If-Match`; any will do where there is none, or a `*`.
fn versions(request: &HttpRequest) -> Result<Option<Vec<i64>>, Problem> {
    let mut versions = Vec::new();
    for value in request.headers().get_all(header::IF_MATCH) {
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(None);
        }
        for tag in text.split(',') {
            let version = version(tag.trim());
            let reason = "must be the ETag of the record, like \"7\", or *";
            versions.push(version.ok_or_else(|| Problem::bad_parameter("If-Match", reason))?);
        }
    }
    if versions.len() > MOST_VERSIONS {
        let reason = format!("must name {MOST_VERSIONS} versions at the most");
        return Err(Problem::bad_parameter("If-Match", reason));
    }
    Ok((!versions.is_empty()).then_some(versions))
}

/// `"7"`, `W/"7"`, or what a person types: `7`.
fn version(tag: &str) -> Option<i64> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let bare = tag
        .strip_prefix('"')
        .map_or(Some(tag), |rest| rest.strip_suffix('"'))?;
    whole(bare)
}

fn fence(request: &HttpRequest) -> Result<Option<i64>, Problem> {
    let Some(value) = request.headers().get("lock-fence") else {
        return Ok(None);
    };
    let fence = value.to_str().ok().and_then(|text| whole(text.trim()));
    let reason = "must be the fence of a lock, a whole number";
    Ok(Some(fence.ok_or_else(|| {
        Problem::bad_parameter("Lock-Fence", reason)
    })?))
}

fn whole(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn wanted(query: ListQuery) -> Result<Wanted, Problem> {
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
    Ok(Wanted {
        status: query.status,
        search: query.q,
        owner: owner.map_err(|error| Problem::bad_parameter("owner", error))?,
        team: team.map_err(|error| Problem::bad_parameter("team", error))?,
        is_archived,
        sort: query.sort,
        limit: limit(query.limit.as_deref())?,
        cursor: query.cursor,
    })
}

fn limit(text: Option<&str>) -> Result<i32, Problem> {
    let Some(text) = text else {
        return Ok(LIMIT_DEFAULT);
    };
    let limit = text
        .parse()
        .ok()
        .filter(|limit| (1..=LIMIT_MOST).contains(limit));
    let reason = format!("must be a number from 1 to {LIMIT_MOST}");
    limit.ok_or_else(|| Problem::bad_parameter("limit", reason))
}
