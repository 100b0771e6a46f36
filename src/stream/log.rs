//! The log lines of streams: one when a stream opens, and one when it ends.

use tokio::time::Instant;
use uuid::Uuid;

use super::Scope;
use crate::fanout::CloseReason;
use crate::platform::LineLimit;
use crate::platform::{BrokerId, RequestId, SmallInstant, UserId};
use crate::sessions::SessionRefusal;

/// The kinds of lines. Each kind has a limit of lines in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamLine {
    Opened,
    /// A stream could not be opened for now.
    Refused(PassingRefusal),
    /// Without a reason, the client has disconnected.
    Ended(Option<CloseReason>),
}

impl StreamLine {
    /// Logs how many lines of this kind were left out.
    pub fn sum_up(self, left_out: u64) {
        match self {
            Self::Opened => tracing::info!(left_out, "more streams opened"),
            Self::Refused(refusal) => {
                let (reason, limit) = (refusal.reason().as_str(), refusal.limit());
                tracing::info!(left_out, reason, limit, "more streams were refused");
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

/// Why a stream cannot be opened for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassingRefusal {
    /// Its brokerage has too many streams at this instance, which may have room for others.
    BrokerageIsFull,
    Other(CloseReason),
}

impl PassingRefusal {
    /// The reason that the client gets.
    #[must_use]
    pub fn reason(self) -> CloseReason {
        match self {
            Self::BrokerageIsFull => CloseReason::Overloaded,
            Self::Other(reason) => reason,
        }
    }

    /// What has too many streams, if the refusal comes from a limit.
    fn whose(self) -> &'static str {
        match self {
            Self::BrokerageIsFull => "its brokerage at this instance",
            Self::Other(_) => "this instance",
        }
    }

    /// The setting that does not allow more.
    fn limit(self) -> Option<&'static str> {
        match self {
            Self::BrokerageIsFull => Some("PORCHLIGHT_STREAMS_PER_BROKERAGE"),
            Self::Other(CloseReason::Overloaded) => Some("PORCHLIGHT_MAX_STREAMS"),
            Self::Other(_) => None,
        }
    }
}

impl From<CloseReason> for PassingRefusal {
    fn from(reason: CloseReason) -> Self {
        Self::Other(reason)
    }
}

/// Only the brokerage has a limit on sessions that refuses streams.
impl From<SessionRefusal> for PassingRefusal {
    fn from(_: SessionRefusal) -> Self {
        Self::BrokerageIsFull
    }
}

/// A request for a stream that could not be opened for now.
#[derive(Clone, Copy, Debug)]
pub struct RefusedStream<'a> {
    pub id: &'a RequestId,
    pub broker: &'a BrokerId,
    pub refusal: PassingRefusal,
}

impl RefusedStream<'_> {
    pub fn log(self, limit: &LineLimit<StreamLine>) {
        let Self {
            id,
            broker,
            refusal,
        } = self;
        if !limit.admits(&StreamLine::Refused(refusal)) {
            return;
        }
        let reason = refusal.reason().as_str();
        if let Some(limit) = refusal.limit() {
            tracing::warn!(
                %id, %broker, reason, limit,
                "a stream was refused, because {} has as many streams as {limit} allows: raise it, or add \
                 an instance",
                refusal.whose()
            );
        } else {
            tracing::info!(%id, %broker, reason, "a stream was refused");
        }
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
