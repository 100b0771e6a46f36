//! `/uploads`: files that users send for tasks, such as imports.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::Context;
use super::body::{self, CsvBody};
use super::idempotency::{self, KeyHeader};
use super::problem::{Code, Problem};
use super::query::NoQuery;
use crate::identity::Caller;
use crate::log::{Operation, PublishError};
use crate::tasks::uploads::UNUSED_AFTER;
use crate::tasks::{IncomingUpload, Pace, UploadError, UploadLimit};

/// When to retry after too many stored uploads. Unused ones make room then, and others at any time.
const STORED_RETRY_AFTER_SECONDS: u32 = 900;
/// When to retry after too many uploads at once.
const ARRIVING_RETRY_AFTER_SECONDS: u32 = 5;

pub(super) async fn create(
    caller: Caller,
    context: Context,
    _: NoQuery,
    key: KeyHeader,
    file: CsvBody,
) -> Result<HttpResponse, Problem> {
    let arrival = IncomingUpload {
        length: file.length,
        key: key.id(&caller, Operation::StoreUpload),
        body: file.payload,
    };
    let stored = context.services.uploads.receive(&caller, arrival).await?;
    let mut response = HttpResponse::Created();
    idempotency::mark(&mut response, stored.is_repeat);
    Ok(response.json(stored.answer))
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Empty => {
                let detail = "The file is empty: there is nothing to import.";
                Self::bad_request(Code::EmptyUpload, detail)
            }
            UploadError::TooMany(most) => {
                let minutes = UNUSED_AFTER.as_secs() / 60;
                let detail = format!(
                    "You have {most} uploads that are being imported or wait for it. One makes \
                     room when its import has ended, or when none was begun for {minutes} minutes."
                );
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, Code::TooManyUploads, detail)
                    .retry_after(STORED_RETRY_AFTER_SECONDS)
            }
            UploadError::Quota(quota) => quota.into(),
            UploadError::KeyReused => PublishError::KeyReused.into(),
            UploadError::TooLarge(most) => body::too_large(most),
            UploadError::TooSlow(pace) => too_slow(pace),
            UploadError::BrokenOff => body::broken_off(),
            UploadError::Full(full) => no_memory(full),
            UploadError::Busy => {
                let detail = "Too many uploads are being stored. Send this file again.";
                Self::unavailable(Code::Busy, detail).retry_after(ARRIVING_RETRY_AFTER_SECONDS)
            }
            UploadError::Database(error) => Self::database(&error),
        }
    }
}

fn too_slow(pace: Pace) -> Problem {
    let (bytes, seconds) = (pace.bytes_per_second, pace.window.as_secs());
    let detail = format!(
        "The file arrived too slowly. It must begin within {seconds} seconds and then bring at least \
         {bytes} bytes a second, measured over {seconds} seconds. Send it again over a faster \
         connection, or in smaller parts."
    );
    Problem::new(StatusCode::REQUEST_TIMEOUT, Code::BodyTooSlow, detail)
}

/// 429 if the caller or their brokerage sends too much; 503 if all together do.
fn no_memory(full: UploadLimit) -> Problem {
    let too_many = |limit: &str| {
        let detail = format!(
            "{limit} This file was not stored. Send it again when another one has arrived."
        );
        let status = StatusCode::TOO_MANY_REQUESTS;
        Problem::new(status, Code::TooManyUploadsAtOnce, detail)
    };
    let problem = match full {
        UploadLimit::User => too_many("You are sending as much at once as one user may."),
        UploadLimit::Brokerage => too_many("Your brokerage is sending as much at once as it may."),
        UploadLimit::Total => {
            let detail = "Too many uploads are arriving. This file was not stored. Send it again.";
            Problem::unavailable(Code::Busy, detail)
        }
    };
    problem.retry_after(ARRIVING_RETRY_AFTER_SECONDS)
}
