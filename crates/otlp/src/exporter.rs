//! Sends spans: one request for each batch.

use std::path::Path;
use std::time::Duration;

use http_client::{
    BadAddress, BadCertificates, Connection, ConnectionError, HttpAddress, Request, TlsAuthorities,
};
use serde::Deserialize;
use tokio::time::timeout;

use crate::body;
use crate::headers::{BadHeaders, ExportHeaders};
use crate::span::{Attribute, Span};

/// How much of an answer is read.
const ANSWER_BYTES: usize = 16 * 1024;
const USER_AGENT: &str = concat!("OTel-OTLP-Exporter/", env!("CARGO_PKG_VERSION"));
/// The path for traces below the address of a receiver.
const PATH: &str = "/v1/traces";

/// Where spans go.
#[derive(Clone, Debug)]
pub struct ExportTarget {
    address: HttpAddress,
    authorities: TlsAuthorities,
    headers: ExportHeaders,
}

/// Why spans cannot go there.
#[derive(Debug, thiserror::Error)]
pub enum BadTarget {
    #[error(transparent)]
    Address(#[from] BadAddress),
    #[error(transparent)]
    Headers(#[from] BadHeaders),
    #[error(transparent)]
    Certificates(#[from] BadCertificates),
}

impl ExportTarget {
    /// The receiver at this address, without `/v1/traces`.
    ///
    /// # Errors
    /// The address is none of HTTP.
    pub fn at(endpoint: &str) -> Result<Self, BadTarget> {
        Ok(Self {
            address: HttpAddress::parse(endpoint, PATH, &[])?,
            authorities: TlsAuthorities::usual(),
            headers: ExportHeaders::default(),
        })
    }

    /// With these headers in each request: `name=value`, with commas between.
    ///
    /// # Errors
    /// They are no headers.
    pub fn with_headers(self, headers: &str) -> Result<Self, BadTarget> {
        let headers = headers.parse()?;
        Ok(Self { headers, ..self })
    }

    /// Trusts the certificate authorities of a file too.
    ///
    /// # Errors
    /// The file has no valid certificates.
    pub fn with_authorities(self, file: &Path) -> Result<Self, BadTarget> {
        let authorities = self.authorities.with_file(file)?;
        Ok(Self {
            authorities,
            ..self
        })
    }
}

#[derive(Debug)]
pub struct Exporter {
    pub target: ExportTarget,
    /// What makes the spans: `service.name` and more.
    pub resource: Vec<Attribute>,
    /// The name and version of the code.
    pub scope: &'static str,
    pub version: &'static str,
    /// How long a request may take.
    pub timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("the receiver does not answer")]
    TimedOut,
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The status of the answer, and how long it asks to wait.
    #[error("the receiver answered {status}")]
    Refused {
        status: u16,
        retry_after: Option<Duration>,
    },
}

impl ExportError {
    /// Whether the same spans may be taken later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::TimedOut | Self::Connection(_) => true,
            Self::Json(_) => false,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
        }
    }

    /// How long the receiver asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::TimedOut | Self::Connection(_) | Self::Json(_) => None,
        }
    }
}

/// What the receiver made of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Spans that it did not take, and that it will not take later.
    pub rejected: u64,
}

impl Exporter {
    /// Sends a batch and waits for the answer.
    ///
    /// # Errors
    /// The receiver cannot be reached or does not take the spans.
    pub async fn send(&self, spans: &[Span]) -> Result<Exported, ExportError> {
        let answered = timeout(self.timeout, self.post(spans)).await;
        answered.unwrap_or(Err(ExportError::TimedOut))
    }

    async fn post(&self, spans: &[Span]) -> Result<Exported, ExportError> {
        let body = body::json(&self.resource, self.scope, self.version, spans)?;
        let headers = format!(
            "user-agent: {USER_AGENT}\r\ncontent-type: application/json\r\n{}",
            self.target.headers.lines()
        );
        let request = Request {
            address: &self.target.address,
            authorities: &self.target.authorities,
            method: "POST",
            headers: &headers,
            body: &body,
        };
        let mut connection = Connection::open(request).await?;
        let status = connection.status();
        if (200..300).contains(&status) {
            let answer = connection.rest(ANSWER_BYTES).await;
            return Ok(exported(&answer));
        }
        let retry_after = connection.header("retry-after");
        Err(ExportError::Refused {
            status,
            retry_after: retry_after
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs),
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnswerJson {
    partial_success: PartialSuccessJson,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccessJson {
    rejected_spans: CountJson,
}

/// A number of 64 bits, which may be a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum CountJson {
    Number(u64),
    Text(String),
}

impl Default for CountJson {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// An answer that cannot be read says nothing.
fn exported(answer: &[u8]) -> Exported {
    let answer: AnswerJson = serde_json::from_slice(answer).unwrap_or_default();
    let rejected = match answer.partial_success.rejected_spans {
        CountJson::Number(number) => number,
        CountJson::Text(text) => text.parse().unwrap_or_default(),
    };
    Exported { rejected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_how_many_spans_were_rejected() {
        for (answer, rejected) in [
            (&b""[..], 0),
            (b"{}", 0),
            (br#"{"partialSuccess":{}}"#, 0),
            (
                br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}"#,
                3,
            ),
            (br#"{"partialSuccess":{"rejectedSpans":4}}"#, 4),
            (b"\x0a\x00", 0),
        ] {
            assert_eq!(exported(answer), Exported { rejected });
        }
    }

    #[test]
    fn only_some_refusals_are_worth_another_attempt() {
        let refused = |status| ExportError::Refused {
            status,
            retry_after: None,
        };
        for (status, is_retryable) in [
            (400, false),
            (401, false),
            (429, true),
            (500, false),
            (503, true),
        ] {
            assert_eq!(refused(status).is_retryable(), is_retryable, "{status}");
        }
        assert!(ExportError::Connection(ConnectionError::NoAnswer).is_retryable());
    }
}
