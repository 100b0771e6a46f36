//! The log lines of streams: one when a stream opens, and one when it ends.

use tokio::time::Instant;
use uuid::Uuid;

use super::Scope;
use crate::fanout::CloseReason;
use crate::platform::LineLimit;
use crate::platform::{BrokerId, RequestId, SmallInstant, UserId};

/// The kinds of lines. Each kind has a limit of lines in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamLine {
    Opened,
    /// A stream could not be opened for now.
    Refused(CloseReason),
    /// Without a reason, the client has disconnected.
    Ended(Option<CloseReason>),
}

impl StreamLine {
    /// Logs how many lines of this kind were left out.
    pub fn sum_up(self, left_out: u64) {
        match self {
            Self::Opened => tracing::info!(left_out, "more streams opened"),
            Self::Refused(reason) => {
                tracing::info!(
                    left_out,
                    reason = reason.as_str(),
                    "more streams were refused"
                );
            }
            Self::Ended(reason) => {
                tracing::info!(left_out, reason = name(reason), "more streams ended");
            }
        }
    }
}

fn name(reason: Option<CloseReason>) -> &'static str {
    match reason {
        None => "disconnected",
        Some(CloseReason::Disconnected) => "disconnected_by_admin",
        Some(reason) => reason.as_str(),
    }
}

/// The user and the scope of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamIdentity<'a> {
    pub broker: &'a BrokerId,
    pub user: &'a UserId,
    pub scope: &'a Scope,
}

/// The data of a stream's last line: 64 bytes.
#[derive(Debug)]
pub struct StreamSummary {
    /// The stream's id, which the client gets in `stream:ready`.
    pub stream: Uuid,
    request: RequestId,
    opened_at: SmallInstant,
    pub events: u64,
    /// Bytes of the body.
    pub bytes: u64,
}

impl StreamSummary {
    /// The summary of a stream that is being opened.
    #[must_use]
    pub fn open(request: RequestId) -> Self {
        Self {
            stream: Uuid::new_v4(),
            request,
            opened_at: Instant::now().into(),
            events: 0,
            bytes: 0,
        }
    }

    /// The stream is open from now on, however long that has taken.
    #[must_use]
    pub fn opened(self) -> Self {
        Self {
            opened_at: Instant::now().into(),
            ..self
        }
    }

    #[must_use]
    pub fn opened_at(&self) -> Instant {
        self.opened_at.get()
    }

    pub fn log_open(&self, limit: &LineLimit<StreamLine>, identity: StreamIdentity<'_>) {
        if !limit.admits(&StreamLine::Opened) {
            return;
        }
        let StreamIdentity {
            broker,
            user,
            scope,
        } = identity;
        let (stream, id) = (self.stream.simple(), &self.request);
        tracing::info!(%stream, %id, %broker, %user, %scope, "a stream opened");
    }

    pub fn log_end(
        &self,
        limit: &LineLimit<StreamLine>,
        identity: StreamIdentity<'_>,
        reason: Option<CloseReason>,
    ) {
        if !limit.admits(&StreamLine::Ended(reason)) {
            return;
        }
        let StreamIdentity {
            broker,
            user,
            scope,
        } = identity;
        let (stream, id) = (self.stream.simple(), &self.request);
        let ms = u64::try_from(self.opened_at().elapsed().as_millis()).unwrap_or(u64::MAX);
        let (events, bytes, reason) = (self.events, self.bytes, name(reason));
        tracing::info!(%stream, %id, %broker, %user, %scope, reason, ms, events, bytes, "a stream ended");
    }
}

/// Logs that a stream could not be opened for now.
pub fn log_refusal(limit: &LineLimit<StreamLine>, id: &RequestId, reason: CloseReason) {
    if !limit.admits(&StreamLine::Refused(reason)) {
        return;
    }
    if reason == CloseReason::Overloaded {
        tracing::warn!(
            %id,
            reason = reason.as_str(),
            "a stream was refused, because this instance has as many streams as PORCHLIGHT_MAX_STREAMS \
             allows: raise it, or add an instance"
        );
    } else {
        tracing::info!(%id, reason = reason.as_str(), "a stream was refused");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_summary_is_small() {
        assert_eq!(std::mem::size_of::<StreamSummary>(), 64);
    }

    #[test]
    fn a_stream_is_open_from_where_it_was_opened() {
        let now = Instant::now();
        let before = now.checked_sub(Duration::from_secs(7)).unwrap();
        let asked = StreamSummary {
            opened_at: before.into(),
            ..StreamSummary::open(RequestId::Given("r-1".into()))
        };
        let stream = asked.stream;
        let summary = asked.opened();
        assert!(summary.opened_at() > before + Duration::from_secs(5));
        assert_eq!(summary.stream, stream);
    }
}
