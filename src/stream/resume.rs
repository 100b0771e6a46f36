//! Where a stream starts: now, or after the client's cursor.

use std::str::FromStr;

use super::{Filter, Scope};
use crate::fanout::{Reader, head_in_table};
use crate::log::{Cursor, Epoch};
use crate::log::{LastEvents, read};
use crate::platform::Pool;

/// The limit of `since=-N`.
pub const MOST_RECENT: i64 = 10_000;

/// Where the client wants to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    Now,
    /// With the oldest event in the log.
    Everything,
    /// With the last events, this many.
    Last(i64),
    After(Cursor),
    /// The client has sent a cursor that is not one of this service.
    Unreadable,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a place to start from: expected a position like 1042-k7q2mw, -20 for the last 20, or 0 for all"
)]
pub struct InvalidSince;

impl FromStr for Since {
    type Err = InvalidSince;
    fn from_str(text: &str) -> Result<Self, InvalidSince> {
        if text == "0" {
            return Ok(Self::Everything);
        }
        if let Some(last) = text.strip_prefix('-') {
            let is_number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
            let last = last.parse().ok().filter(|n| (1..=MOST_RECENT).contains(n));
            return last
                .filter(|_| is_number)
                .map(Self::Last)
                .ok_or(InvalidSince);
        }
        text.parse().map(Self::After).map_err(|_| InvalidSince)
    }
}

/// Why a cursor cannot be served. The client must load its data again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// Events after it have been deleted.
    Expired,
    /// It is of another log, or it is no cursor.
    Unknown,
    /// It is after the log's head.
    Ahead,
}

impl ResetReason {
    /// The reason's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Ahead => "ahead",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStart {
    pub epoch: Epoch,
    pub position: i64,
    pub reset: Option<ResetReason>,
}

/// Finds the start. A cursor that is in memory costs no query. The queries are boxed, so that a request
/// without one is not as large as they are.
pub async fn start(
    pool: &Pool,
    reader: &Reader,
    filter: &Filter,
    since: &Since,
) -> sqlx::Result<StreamStart> {
    let (epoch, head) = reader.log_head();
    let at = |position, reset| StreamStart {
        epoch: epoch.clone(),
        position,
        reset,
    };
    let cursor = match since {
        Since::Now => return Ok(at(head, None)),
        Since::Unreadable => return Ok(at(head, Some(ResetReason::Unknown))),
        Since::Everything => {
            let horizon = Box::pin(head_in_table(pool, reader.broker()))
                .await?
                .map_or(0, |h| h.horizon);
            return Ok(at(horizon, None));
        }
        Since::Last(n) => {
            let before = Box::pin(before_last(pool, reader, filter, *n));
            return Ok(at(before.await?, None));
        }
        Since::After(cursor) => cursor,
    };
    if cursor.epoch.as_ref().is_some_and(|theirs| *theirs != epoch) {
        return Ok(at(head, Some(ResetReason::Unknown)));
    }
    // It may be newer than the ring, because another instance may have served the client.
    let is_ahead = cursor.position > head
        && Box::pin(head_in_table(pool, reader.broker()))
            .await?
            .is_none_or(|t| cursor.position > t.position);
    if is_ahead {
        Ok(at(head, Some(ResetReason::Ahead)))
    } else {
        Ok(at(cursor.position, None))
    }
}

/// The position before the last `n` events that this stream would carry.
async fn before_last(pool: &Pool, reader: &Reader, filter: &Filter, n: i64) -> sqlx::Result<i64> {
    let (types, records) = (filter.like_patterns(), filter.record_paths());
    let last = LastEvents {
        broker: reader.broker(),
        audiences: reader.audiences(),
        types: types.as_deref(),
        records: records.as_deref(),
        count: n,
    };
    read::before_last(&mut *pool.acquire().await?, &last).await
}

/// The data of `stream:reset`, with the path where a client finds the events of the scope.
#[must_use]
pub fn reset_data(reason: ResetReason, position: &Cursor, scope: &Scope) -> serde_json::Value {
    serde_json::json!({
        "type": "stream:reset",
        "reason": reason.as_str(),
        "position": position.to_string(),
        "snapshot": scope.history_path(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_cursor_a_count_or_everything() {
        assert_eq!("0".parse(), Ok(Since::Everything));
        assert_eq!("-20".parse(), Ok(Since::Last(20)));
        assert!(matches!("1042-k7q2".parse(), Ok(Since::After(_))));
        for bad in [
            "", "-0", "-", "--5", "-10001", "-+5", "x", "1042-", "1 042", "1e3",
        ] {
            assert_eq!(bad.parse::<Since>(), Err(InvalidSince), "{bad:?}");
        }
    }
}
