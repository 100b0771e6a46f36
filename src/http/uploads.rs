//! `/uploads`: files that a worker reads.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::problem::Problem;
use super::{Service, body, query};
use crate::identity::Caller;
use crate::ids::UploadId;
use crate::uploads::{MOST_UPLOADS, UploadError};

/// Until an upload of before is gone, in seconds: it may be soon, and it may be a day.
const RETRY_AFTER_SECONDS: u32 = 3_600;

#[derive(Serialize)]
struct UploadJson {
    id: UploadId,
    bytes: usize,
}

/// Takes a file.
pub async fn create(
    request: HttpRequest,
    caller: Caller,
    service: Service,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    let uploads = &service.app.uploads;
    let slot = uploads.slot()?;
    let limit = service.app.limits.upload_bytes;
    let content = body::read_csv(&request, payload, limit).await?;
    let bytes = content.len();
    let id = uploads.keep(&caller, (content, slot)).await?;
    Ok(HttpResponse::Created().json(UploadJson { id, bytes }))
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Empty => {
                let detail = "The file is empty: there is nothing to import.";
                Self::bad_request("empty_upload", detail)
            }
            UploadError::TooMany => {
                let detail = format!(
                    "You have {MOST_UPLOADS} uploads whose imports have not ended. One goes when its \
                     import has completed, and after 24 hours."
                );
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, "too_many_uploads", detail).retry_after(RETRY_AFTER_SECONDS)
            }
            UploadError::Busy => {
                Self::unavailable("busy", "Too many uploads come in just now. Try again.")
            }
            UploadError::Database(error) => Self::database(&error),
        }
    }
}
