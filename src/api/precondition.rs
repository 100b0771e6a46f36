//! The conditions of a write: the version of a record (`If-Match`), and the fence of its lock
//! (`Lock-Fence`).

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};

use super::problem::Problem;
use super::query::single_header;

const LOCK_FENCE: HeaderName = HeaderName::from_static("lock-fence");

/// Versions that one `If-Match` may name.
const MOST_VERSIONS: usize = 20;

/// The headers of a conditional write.
pub(super) struct Preconditions {
    /// The versions of `If-Match`. Without the header, or with `*`, every version will do.
    pub(super) versions: Option<Vec<i64>>,
    /// The fence of `Lock-Fence`.
    pub(super) fence: Option<i64>,
}

impl Preconditions {
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        Ok(Self {
            versions: versions(request)?,
            fence: fence(request)?,
        })
    }
}

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

/// The version in `"7"`, in `W/"7"`, or in `7`, as people type it.
fn version(tag: &str) -> Option<i64> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let bare = tag
        .strip_prefix('"')
        .map_or(Some(tag), |rest| rest.strip_suffix('"'))?;
    whole(bare)
}

fn fence(request: &HttpRequest) -> Result<Option<i64>, Problem> {
    if !request.headers().contains_key(LOCK_FENCE) {
        return Ok(None);
    }
    let value = single_header(request.headers(), LOCK_FENCE);
    let text = value.and_then(|value| value.to_str().ok());
    let fence = text.and_then(|text| whole(text.trim()));
    let reason = "must be there once: the fence of a lock, a whole number";
    Ok(Some(fence.ok_or_else(|| {
        Problem::bad_parameter("Lock-Fence", reason)
    })?))
}

fn whole(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}
