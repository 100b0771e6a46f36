//! Where a stream starts: now, or after what the client has.

use std::str::FromStr;

use super::reader::Reader;
use super::{Filter, Scope};
use crate::fanout::head_in_table;
use crate::log::{Cursor, Epoch};
use crate::log::{LastEvents, read};
use crate::platform::Pool;

/// How many events `since=-N` may ask for.
pub const MOST_RECENT: i64 = 10_000;

/// What the client says it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// Nothing, and it wants nothing old.
    Now,
    /// Nothing, and it wants all that is kept.
    Everything,
    /// Nothing, and it wants the last so many.
    Last(i64),
    After(Cursor),
    /// A cursor that is none of ours.
    Unreadable,
}

/// Text that names no place to start from.
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

/// Why a cursor cannot be served: the client starts afresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// What follows it has been removed.
    Expired,
    /// It is of another log, or no cursor at all.
    Unknown,
    /// The log does not reach that far.
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
pub struct Start {
    pub epoch: Epoch,
    pub position: i64,
    /// The client's cursor could not be served.
    pub reset: Option<ResetReason>,
}

/// Finds where to start. Only what is not in memory costs a query.
pub async fn start(
    pool: &Pool,
    reader: &Reader,
    filter: &Filter,
    since: &Since,
) -> sqlx::Result<Start> {
    let (epoch, head) = reader.log_head();
    let at = |position, reset| Start {
        epoch: epoch.clone(),
        position,
        reset,
    };
    let cursor = match since {
        Since::Now => return Ok(at(head, None)),
        Since::Unreadable => return Ok(at(head, Some(ResetReason::Unknown))),
        Since::Everything => {
            let horizon = head_in_table(pool, reader.broker())
                .await?
                .map_or(0, |h| h.horizon);
            return Ok(at(horizon, None));
        }
        Since::Last(n) => return Ok(at(before_last(pool, reader, filter, *n).await?, None)),
        Since::After(cursor) => cursor,
    };
    if cursor.epoch.as_ref().is_some_and(|theirs| *theirs != epoch) {
        return Ok(at(head, Some(ResetReason::Unknown)));
    }
    // It may be newer than our memory: another instance may have served it.
    let is_ahead = cursor.position > head
        && head_in_table(pool, reader.broker())
            .await?
            .is_none_or(|t| cursor.position > t.head);
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

/// The scope's own words for a reset: why, from where on, and where to look.
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
