//! What is logged of a stream: a line when it opens, and one when it ends.

use tokio::time::Instant;
use uuid::Uuid;

use super::Scope;
use crate::fanout::CloseReason;
use crate::platform::LineLimit;
use crate::platform::{BrokerId, RequestId, UserId};

/// Kinds of lines, of which so many are logged in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamLine {
    Opened,
    /// A stream could not be opened at the moment.
    Refused(CloseReason),
    /// A stream ended: the service said why, or the client went away.
    Ended(Option<CloseReason>),
}

impl StreamLine {
    /// Says how many lines of this kind were left out.
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

/// Why a stream ended, as logs have it.
fn name(reason: Option<CloseReason>) -> &'static str {
    reason.map_or("disconnected", CloseReason::as_str)
}

/// Whose stream a line is about.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    pub broker: &'a BrokerId,
    pub user: &'a UserId,
    pub scope: &'a Scope,
}

/// What is remembered of a stream for its last line: 72 bytes.
#[derive(Debug)]
pub struct Account {
    /// The stream's name, which its client is told.
    pub stream: Uuid,
    request: RequestId,
    opened_at: Instant,
    pub events: u64,
    /// Bytes that were written, without those of HTTP itself.
    pub bytes: u64,
}

impl Account {
    /// The account of a stream that opens now.
    #[must_use]
    pub fn open(request: RequestId) -> Self {
        Self {
            stream: Uuid::new_v4(),
            request,
            opened_at: Instant::now(),
            events: 0,
            bytes: 0,
        }
    }

    pub fn log_open(&self, limit: &LineLimit<StreamLine>, whose: Whose<'_>) {
        if !limit.admits(&StreamLine::Opened) {
            return;
        }
        let Whose {
            broker,
            user,
            scope,
        } = whose;
        let (stream, id) = (self.stream.simple(), &self.request);
        tracing::info!(%stream, %id, %broker, %user, %scope, "a stream opened");
    }

    pub fn log_end(
        &self,
        limit: &LineLimit<StreamLine>,
        whose: Whose<'_>,
        reason: Option<CloseReason>,
    ) {
        if !limit.admits(&StreamLine::Ended(reason)) {
            return;
        }
        let Whose {
            broker,
            user,
            scope,
        } = whose;
        let (stream, id) = (self.stream.simple(), &self.request);
        let ms = u64::try_from(self.opened_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (events, bytes, reason) = (self.events, self.bytes, name(reason));
        tracing::info!(%stream, %id, %broker, %user, %scope, reason, ms, events, bytes, "a stream ended");
    }
}

/// A stream could not be opened at the moment.
pub fn log_refusal(limit: &LineLimit<StreamLine>, id: &RequestId, reason: CloseReason) {
    if limit.admits(&StreamLine::Refused(reason)) {
        tracing::info!(%id, reason = reason.as_str(), "a stream was refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_small() {
        assert_eq!(std::mem::size_of::<Account>(), 72);
    }
}
