//! Error answers as `application/problem+json`: a stable code, a sentence that helps, and the field at
//! fault.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::value::RawValue;

pub(super) use super::code::Code;
use crate::fanout::CloseReason;
use crate::identity::TokenError;
use crate::log::PublishError;
use crate::platform::database::lacks_resources;
use crate::stream::UnknownScope;

/// What a client is told when the database has refused a statement for lack of resources.
const NO_RESOURCES: &str =
    "The database lacks space, memory or connections. Nothing was changed. Try again later.";

#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemParts>);

#[derive(Debug, Clone)]
struct ProblemParts {
    status: StatusCode,
    code: Code,
    detail: Cow<'static, str>,
    field: Option<String>,
    retry_after_seconds: Option<u32>,
    allow: Option<String>,
    closes: bool,
    extensions: BTreeMap<&'static str, Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemJson<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: Code,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(flatten)]
    extensions: &'a BTreeMap<&'static str, Box<RawValue>>,
}

impl Problem {
    pub fn new(status: StatusCode, code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self(Box::new(ProblemParts {
            status,
            code,
            detail,
            field: None,
            retry_after_seconds: None,
            allow: None,
            closes: false,
            extensions: BTreeMap::new(),
        }))
    }

    pub fn bad_request(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The sentence begins with the name of the parameter.
    pub fn bad_parameter(field: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_request(Code::InvalidParameter, format!("{field} {reason}")).at(field)
    }

    /// The same request may work later.
    pub fn unavailable(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        problem.0.retry_after_seconds = Some(1);
        problem
    }

    /// Why a stream with this problem ends at once, if its client may open it later.
    #[must_use]
    pub fn passing_reason(&self) -> Option<CloseReason> {
        match self.0.status {
            StatusCode::SERVICE_UNAVAILABLE => Some(CloseReason::Unavailable),
            StatusCode::TOO_MANY_REQUESTS => Some(CloseReason::RateLimited),
            _ => None,
        }
    }

    /// The database did not answer, or refused a statement.
    #[must_use]
    pub fn database(error: &sqlx::Error) -> Self {
        tracing::warn!(%error, "the database did not serve a request");
        let detail = if lacks_resources(error) {
            NO_RESOURCES
        } else {
            "The database did not answer. Try again."
        };
        Self::unavailable(Code::DatabaseUnavailable, detail)
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Names the field at fault.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    /// Sets `Allow`.
    #[must_use]
    pub fn with_allowed(mut self, methods: String) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// Nothing more can be read from the connection.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// Adds a field to the body.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &impl Serialize) -> Self {
        if let Ok(value) = serde_json::value::to_raw_value(value) {
            self.0.extensions.insert(name, value);
        }
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.0.status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.0.retry_after_seconds {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(methods) = &self.0.allow {
            response.insert_header((header::ALLOW, methods.as_str()));
        }
        if self.0.closes {
            response.force_close();
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Bearer realm=\"porchlight\"");
            response.insert_header((header::WWW_AUTHENTICATE, realm));
        }
        response.body(self.json())
    }
}

impl Problem {
    /// The body.
    pub(super) fn json(&self) -> String {
        let json = ProblemJson {
            r#type: format!("urn:porchlight:problem:{}", self.0.code.as_str()),
            title: self.0.status.canonical_reason().unwrap_or("Error"),
            status: self.0.status.as_u16(),
            code: self.0.code,
            detail: &self.0.detail,
            field: self.0.field.as_deref(),
            extensions: &self.0.extensions,
        };
        serde_json::to_string(&json).unwrap_or_default()
    }
}

impl actix_web::Responder for Problem {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        HttpResponse::from_error(self)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let problem = Self::new(
            StatusCode::UNAUTHORIZED,
            Code::from(&error),
            error.to_string(),
        );
        match error.claim() {
            Some(claim) => problem.at(claim),
            None => problem,
        }
    }
}

impl From<UnknownScope> for Problem {
    fn from(error: UnknownScope) -> Self {
        let code = match error {
            UnknownScope::Team(_) => Code::UnknownTeam,
            UnknownScope::NoTeam => Code::NoTeam,
            UnknownScope::NoWorker => {
                return Self::new(StatusCode::FORBIDDEN, Code::RoleNeeded, error.to_string());
            }
        };
        Self::new(StatusCode::NOT_FOUND, code, error.to_string()).at("team")
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Busy => Self::unavailable(
                Code::Busy,
                "Too many requests wait to be written, or another transaction holds the log of the brokerage. Nothing of \
                 this one was written.",
            ),
            PublishError::Unconfirmed => Self::unavailable(
                Code::Unconfirmed,
                "The database did not confirm the write in time: it may have happened or not. \
                 Send the request again with the same Idempotency-Key: then it happens once.",
            ),
            PublishError::NoResources => Self::unavailable(Code::DatabaseUnavailable, NO_RESOURCES),
            PublishError::KeyReused => Self::new(
                StatusCode::CONFLICT,
                Code::IdempotencyKeyReused,
                "You used this Idempotency-Key with another body in the last 24 hours. \
                 Use a new key for a new request.",
            )
            .at("Idempotency-Key"),
        }
    }
}
