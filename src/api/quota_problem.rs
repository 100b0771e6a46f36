//! The problem of a quota that is reached: which one, and what the client can do.

use actix_web::http::StatusCode;

use super::problem::{Code, Problem};
use crate::platform::{QuotaExceeded, QuotaKind, QuotaScope};
use crate::sessions::SessionRefusal;

/// What is counted, and how there is room again.
struct QuotaText {
    counted: &'static str,
    remedy: &'static str,
    retry_after_seconds: u32,
}

impl From<QuotaExceeded> for Problem {
    fn from(exceeded: QuotaExceeded) -> Self {
        let QuotaExceeded { kind, scope, limit } = exceeded;
        let QuotaText {
            counted,
            remedy,
            retry_after_seconds,
        } = text(kind);
        let whose = match scope {
            QuotaScope::User => "one user",
            QuotaScope::Brokerage => "all users of a brokerage together",
        };
        let detail = format!(
            "The limit of {limit} {counted} of {whose} is reached. {remedy} Nothing was changed."
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::QuotaExceeded, detail)
            .retry_after(retry_after_seconds)
            .with("quota", &kind.as_str())
            .with("scope", &scope.as_str())
            .with("limit", &limit)
    }
}

impl From<SessionRefusal> for Problem {
    fn from(refusal: SessionRefusal) -> Self {
        match refusal {
            SessionRefusal::TooManyPolls(quota) => quota.into(),
            SessionRefusal::TooManyStreams => {
                let detail = "The brokerage has too many streams. Try again.";
                Self::unavailable(Code::Busy, detail)
            }
        }
    }
}

fn text(kind: QuotaKind) -> QuotaText {
    let (counted, remedy, retry_after_seconds) = match kind {
        QuotaKind::Tasks => (
            "open tasks",
            "Wait until some have ended, or cancel some: GET /tasks lists them.",
            30,
        ),
        QuotaKind::Locks => (
            "held locks",
            "Release some: GET /locks lists them. A lock that is not renewed ends by itself.",
            30,
        ),
        QuotaKind::Notifications => (
            "posted notifications",
            "They are removed when they are older than PORCHLIGHT_NOTIFICATION_DAYS.",
            3_600,
        ),
        QuotaKind::Unread => (
            "unread notifications",
            "Some must be marked as read first: POST /notifications/read-all.",
            600,
        ),
        QuotaKind::Keys => (
            "idempotency keys in 24 hours",
            "Wait until older ones are forgotten, or send the request without a key.",
            3_600,
        ),
        QuotaKind::Uploads => (
            "stored uploads",
            "An upload is removed when its import has completed, or after 24 hours.",
            3_600,
        ),
        QuotaKind::Polls => (
            "requests that wait",
            "Let some of them end first, or open a stream instead.",
            5,
        ),
    };
    QuotaText {
        counted,
        remedy,
        retry_after_seconds,
    }
}
