//! `/uploads`: files that a worker reads.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::problem::{Code, Problem};
use super::{Context, body, query};
use crate::identity::Caller;
use crate::platform::UploadId;
use crate::tasks::{Arrival, Full, MOST_UPLOADS, Pace, Upload, UploadError};

/// Until an upload of before is gone, in seconds: it may be soon, and it may be a day.
const KEPT_RETRY_AFTER_SECONDS: u32 = 3_600;
/// Until one that is on its way in is there, in seconds.
const ARRIVING_RETRY_AFTER_SECONDS: u32 = 5;

#[derive(Serialize)]
struct UploadJson {
    id: UploadId,
    bytes: usize,
}

pub async fn create(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    query::none(&request)?;
    body::expect_csv(&request)?;
    let arrival = Arrival {
        length: body::length(&request),
        body: payload,
    };
    let Upload { id, bytes } = context.services.uploads.receive(&caller, arrival).await?;
    Ok(HttpResponse::Created().json(UploadJson { id, bytes }))
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Empty => {
                let detail = "The file is empty: there is nothing to import.";
                Self::bad_request(Code::EmptyUpload, detail)
            }
            UploadError::TooMany => {
                let detail = format!(
                    "You have {MOST_UPLOADS} uploads whose imports have not ended. One goes when its \
                     import has completed, and after 24 hours."
                );
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, Code::TooManyUploads, detail)
                    .retry_after(KEPT_RETRY_AFTER_SECONDS)
            }
            UploadError::TooLarge(most) => body::too_large(most),
            UploadError::TooSlow(pace) => too_slow(pace),
            UploadError::BrokenOff => body::broken_off(),
            UploadError::Full(full) => no_room(full),
            UploadError::Busy => {
                let detail = "Too many uploads are being stored just now. Send this one again.";
                Self::unavailable(Code::Busy, detail).retry_after(ARRIVING_RETRY_AFTER_SECONDS)
            }
            UploadError::Database(error) => Self::database(&error),
        }
    }
}

fn too_slow(pace: Pace) -> Problem {
    let (bytes, seconds) = (pace.bytes_per_second, pace.window.as_secs());
    let detail = format!(
        "The file came too slowly. It must begin within {seconds} seconds and then bring at least \
         {bytes} bytes a second, measured over {seconds} seconds. Send it again on a faster line, \
         or in smaller parts."
    );
    Problem::new(StatusCode::REQUEST_TIMEOUT, Code::BodyTooSlow, detail)
}

/// Nothing of the file was kept. What the caller can change is a 429, what others are at is a 503.
fn no_room(full: Full) -> Problem {
    let many = |whose: &str| {
        let detail = format!(
            "{whose} Nothing of this file was kept: send it again when another one has arrived."
        );
        let status = StatusCode::TOO_MANY_REQUESTS;
        Problem::new(status, Code::TooManyUploadsAtOnce, detail)
    };
    let problem = match full {
        Full::User => many("You are sending as much at once as one user may."),
        Full::Brokerage => many("Your brokerage is sending as much at once as it may."),
        Full::Total => {
            let detail = "Too many uploads arrive just now. Nothing of this file was kept: send it \
                          again.";
            Problem::unavailable(Code::Busy, detail)
        }
    };
    problem.retry_after(ARRIVING_RETRY_AFTER_SECONDS)
}
