//! Reads the log for the follower, for replay and for history.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Head;
use crate::log::event::{Audience, Epoch, Event, NewEvent, Private};
use crate::platform::{BrokerId, EventType, ModuleName, RecordId, UserId, traces};

/// Events of a page for few audiences.
const PAGE_EVENTS: i64 = 256;
/// Bytes of a page for replay or of a step of the follower, unless it is a single event.
const PAGE_BYTES: i64 = 1 << 20;
/// Positions that a page for many audiences spans.
const WIDE_PAGE_POSITIONS: i64 = 1_024;
/// Up to this many audiences, each is looked up in an index. For more, the log is read in order.
const FEW_AUDIENCES: usize = 8;

/// A row of the log. A brokerage without matching events has one row with only nulls.
#[derive(Default)]
pub(super) struct EventRow {
    pub(super) position: Option<i64>,
    pub(super) audience: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) module: Option<String>,
    pub(super) record_id: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) version: Option<i64>,
    pub(super) data: Option<String>,
    pub(super) changes: Option<String>,
    pub(super) private: Option<String>,
    pub(super) owner_id: Option<String>,
    pub(super) new_owner: Option<bool>,
    pub(super) truncated: Option<bool>,
    pub(super) created_at: Option<OffsetDateTime>,
    pub(super) traceparent: Option<String>,
}

impl EventRow {
    pub(super) fn event(self) -> Option<Event> {
        let raw = |json: Option<String>| -> Option<Arc<RawValue>> {
            json.and_then(|json| RawValue::from_string(json).ok())
                .map(Arc::from)
        };
        let record = self.record_id.and_then(|id| RecordId::parse(&id).ok());
        let body = NewEvent {
            audience: self.audience?.parse().ok()?,
            event_type: EventType::parse(&self.r#type?).ok()?,
            record: self
                .module
                .and_then(|m| Some((ModuleName::parse(&m).ok()?, record))),
            user: self.user_id.and_then(|id| UserId::parse(&id).ok()),
            version: self.version,
            data: raw(self.data),
            changes: raw(self.changes),
            private: raw(self.private).map(Private),
            owner: self.owner_id.and_then(|id| UserId::parse(&id).ok()),
            is_new_owner: self.new_owner.unwrap_or(false),
            previous: None,
            is_truncated: self.truncated.unwrap_or(false),
            trace: traces::stored(self.traceparent.as_deref()),
        };
        Some(Event {
            position: self.position?,
            created_at: self.created_at?,
            body,
        })
    }
}

/// The events after `position`, at most `limit`, or fewer when they are large. None if the log has another epoch by
/// now: then its positions mean other events.
pub async fn after(
    connection: &mut PgConnection,
    broker: &BrokerId,
    epoch: &Epoch,
    position: i64,
    limit: i64,
) -> sqlx::Result<Vec<Event>> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"select position, audience, type, module, record_id, user_id, version,
               data::text, changes::text, private::text, owner_id, new_owner, truncated, created_at,
               traceparent
           from porchlight.events_between($1, null, $2, $3, $4, $5)
           where position is not null
               and $6 = (select epoch from porchlight.brokers where broker_id = $1)
           order by position"#,
        broker.as_str(),
        position,
        i64::MAX,
        limit,
        PAGE_BYTES,
        epoch.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(EventRow::event).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// The events that a page is to have.
#[derive(Clone, Debug)]
pub struct PageQuery<'a> {
    pub broker: &'a BrokerId,
    pub audiences: &'a [Audience],
    /// Only events after this position (forward) or before it (backward).
    pub beyond: i64,
    pub direction: Direction,
    /// `like` patterns of types; `None`: all types.
    pub types: Option<&'a [String]>,
    /// `module/record` pairs; `None`: all records.
    pub records: Option<&'a [String]>,
    pub limit: i64,
    /// A page has fewer bytes, unless it is a single event.
    pub most_bytes: i64,
}

/// A page of the log, from one database snapshot.
#[derive(Debug)]
pub struct LogPage {
    pub head: Head,
    /// In the order of the query.
    pub events: Vec<Event>,
    /// Whether no more events match.
    pub is_last: bool,
}

struct PageRow {
    epoch: String,
    head: i64,
    horizon: i64,
    row: EventRow,
}

/// Converts the event of a query's row; each query has a row type of its own.
macro_rules! event_row {
    ($r:ident) => {
        EventRow {
            position: $r.position,
            audience: $r.audience,
            r#type: $r.r#type,
            module: $r.module,
            record_id: $r.record_id,
            user_id: $r.user_id,
            version: $r.version,
            data: $r.data,
            changes: $r.changes,
            private: $r.private,
            owner_id: $r.owner_id,
            new_owner: $r.new_owner,
            truncated: $r.truncated,
            created_at: $r.created_at,
            // Only the follower asks for it.
            traceparent: None,
        }
    };
}
pub(super) use event_row;

/// Converts a row of either page query; each query has a row type of its own.
macro_rules! page_row {
    ($r:ident) => {
        PageRow {
            epoch: $r.epoch,
            head: $r.head,
            horizon: $r.horizon,
            row: event_row!($r),
        }
    };
}

/// The queries differ in the function that reads the page.
macro_rules! page_query {
    ($connection:expr, $from:literal, $broker:expr, $($argument:expr),+ $(,)?) => {
        sqlx::query!(
            r#"select b.epoch, b.head, b.horizon, e.position as "position?",
                   e.audience as "audience?", e.type as "type?", e.module as "module?",
                   e.record_id as "record_id?", e.user_id as "user_id?", e.version as "version?",
                   e.data::text, e.changes::text, e.private::text, e.owner_id as "owner_id?",
                   e.new_owner as "new_owner?", e.truncated as "truncated?",
                   e.created_at as "created_at?"
               from porchlight.brokers b
               left join lateral "# + $from + r#" with ordinality e on true
               where b.broker_id = $1 order by e.ordinality"#,
            $broker,
            $($argument),+
        )
        .map(|r| page_row!(r))
        .fetch_all($connection)
        .await?
    };
}

/// A page for few audiences. `None` when the brokerage has no log.
pub async fn page(
    connection: &mut PgConnection,
    query: &PageQuery<'_>,
) -> sqlx::Result<Option<LogPage>> {
    let ids: Vec<_> = query.audiences.iter().map(ToString::to_string).collect();
    let rows = page_query!(
        connection,
        "porchlight.events_page(b.broker_id, $2, $3, $4, $5, $6, $7, $8)",
        query.broker.as_str(),
        &ids,
        query.beyond,
        query.direction == Direction::Backward,
        query.types as Option<&[String]>,
        query.records as Option<&[String]>,
        query.limit,
        query.most_bytes,
    );
    Ok(log_page(rows, query.limit))
}

/// The last events that a stream would carry.
#[derive(Clone, Copy, Debug)]
pub struct LastEvents<'a> {
    pub broker: &'a BrokerId,
    pub audiences: &'a [Audience],
    /// `like` patterns of types; `None`: all types.
    pub types: Option<&'a [String]>,
    /// `module/record` pairs; `None`: all records.
    pub records: Option<&'a [String]>,
    pub count: i64,
}

/// The position before the first of the last events, or the head when there are none. It reads
/// only positions, because the bytes of so many events have no limit.
pub async fn before_last(
    connection: &mut PgConnection,
    last: &LastEvents<'_>,
) -> sqlx::Result<i64> {
    let ids: Vec<_> = last.audiences.iter().map(ToString::to_string).collect();
    let position = sqlx::query_scalar!(
        r#"select coalesce(
               porchlight.position_of_last_events(b.broker_id, $2, $3, $4, $5) - 1, b.head
           ) as "position!"
           from porchlight.brokers b where b.broker_id = $1"#,
        last.broker.as_str(),
        &ids,
        last.types as Option<&[String]>,
        last.records as Option<&[String]>,
        last.count,
    );
    Ok(position.fetch_optional(connection).await?.unwrap_or(0))
}

fn log_page(rows: Vec<PageRow>, limit: i64) -> Option<LogPage> {
    let first = rows.first()?;
    let epoch = Epoch::stored(&first.epoch);
    let head = Head {
        epoch,
        position: first.head,
        horizon: first.horizon,
    };
    let is_cut = rows.len() > 1 && rows.last().is_some_and(|last| last.row.position.is_none());
    let events: Vec<_> = rows.into_iter().filter_map(|r| r.row.event()).collect();
    let is_full = i64::try_from(events.len()).unwrap_or(i64::MAX) >= limit;
    Some(LogPage {
        head,
        events,
        is_last: !is_full && !is_cut,
    })
}

/// A page for replay: events of `audiences` in `(after, upto]`.
#[derive(Debug)]
pub struct ReplayEvents {
    pub head: Head,
    /// `events` has every event of the audiences up to here.
    pub upto: i64,
    pub events: Vec<Event>,
}

/// The events of any of `audiences` after a position. `None` when the brokerage has no log.
pub async fn replay(
    connection: &mut PgConnection,
    broker: &BrokerId,
    audiences: &[Audience],
    after: i64,
) -> sqlx::Result<Option<ReplayEvents>> {
    if audiences.len() > FEW_AUDIENCES {
        return replay_wide(connection, broker, audiences, after).await;
    }
    let direction = Direction::Forward;
    let query = PageQuery {
        broker,
        audiences,
        beyond: after,
        direction,
        types: None,
        records: None,
        limit: PAGE_EVENTS,
        most_bytes: PAGE_BYTES,
    };
    Ok(page(connection, &query).await?.map(
        |LogPage {
             head,
             events,
             is_last,
         }| {
            let last = events.last().map_or(after, |e| e.position);
            let upto = if is_last {
                head.position.max(last)
            } else {
                last
            };
            ReplayEvents { head, upto, events }
        },
    ))
}

async fn replay_wide(
    connection: &mut PgConnection,
    broker: &BrokerId,
    audiences: &[Audience],
    after: i64,
) -> sqlx::Result<Option<ReplayEvents>> {
    let ids: Vec<_> = audiences.iter().map(ToString::to_string).collect();
    let end = after.saturating_add(WIDE_PAGE_POSITIONS);
    let rows = page_query!(
        connection,
        "porchlight.events_between(b.broker_id, $2, $3, $4, $5, $6)",
        broker.as_str(),
        &ids,
        after,
        end,
        WIDE_PAGE_POSITIONS,
        PAGE_BYTES,
    );
    let page = log_page(rows, i64::MAX);
    Ok(page.map(
        |LogPage {
             head,
             events,
             is_last,
         }| {
            let last = events.last().map_or(after, |event| event.position);
            let upto = if is_last {
                end.min(head.position)
            } else {
                last
            };
            ReplayEvents {
                upto: upto.max(after),
                head,
                events,
            }
        },
    ))
}
