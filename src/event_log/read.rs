//! Reading the log back: for the follower, for replay and for history.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Head;
use crate::event::{Audience, Epoch, Event, NewEvent, Private};
use crate::ids::{BrokerId, EventType, ModuleName, RecordId, UserId};

/// How many events a page for few audiences has.
const PAGE_EVENTS: i64 = 256;
/// How many positions a page for many audiences spans.
const WIDE_PAGE_POSITIONS: i64 = 1_024;
/// Up to here each audience is looked up by itself; beyond, the log is read in order.
const FEW_AUDIENCES: usize = 8;

/// A row of the log; beside a broker without matching events, all of it is null.
#[derive(Default)]
pub(super) struct Row {
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
}

impl Row {
    pub(super) fn event(self) -> Option<Event> {
        let raw = |json: Option<String>| -> Option<Arc<RawValue>> {
            json.and_then(|json| RawValue::from_string(json).ok())
                .map(Arc::from)
        };
        let record = self.record_id.and_then(|id| RecordId::parse(&id).ok());
        let told = NewEvent {
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
        };
        Some(Event {
            position: self.position?,
            created_at: self.created_at?,
            told,
        })
    }
}

/// Everything of `broker` after `position`, up to `limit` events.
pub async fn after(
    connection: &mut PgConnection,
    broker: &BrokerId,
    position: i64,
    limit: i64,
) -> sqlx::Result<Vec<Event>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select position, audience, type, module, record_id, user_id, version,
               data::text, changes::text, private::text, owner_id, new_owner, truncated, created_at
           from porchlight.events where broker_id = $1 and position > $2
           order by position limit $3"#,
        broker.as_str(),
        position,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(Row::event).collect())
}

/// Which way a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From old to new.
    Forward,
    /// From new to old.
    Backward,
}

/// What a page is to hold.
#[derive(Clone, Debug)]
pub struct Want<'a> {
    /// Whose log.
    pub broker: &'a BrokerId,
    /// Whose eyes.
    pub audiences: &'a [Audience],
    /// Only events beyond this position: after it, or before it.
    pub beyond: i64,
    /// Which way.
    pub direction: Direction,
    /// `like` patterns of types; none: all.
    pub types: Option<&'a [String]>,
    /// `module/record` pairs; none: all.
    pub records: Option<&'a [String]>,
    /// How many events at the most.
    pub limit: i64,
}

/// A page of the log, all of one database snapshot.
#[derive(Debug)]
pub struct Page {
    /// Where the log stood.
    pub head: Head,
    /// The events, in the order asked for.
    pub events: Vec<Event>,
    /// Whether there was no more to find.
    pub is_last: bool,
}

struct PageRow {
    epoch: String,
    head: i64,
    horizon: i64,
    row: Row,
}

/// A record of either page query; each query has a record type of its own.
macro_rules! page_row {
    ($r:ident) => {
        PageRow {
            epoch: $r.epoch,
            head: $r.head,
            horizon: $r.horizon,
            row: Row {
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
            },
        }
    };
}

/// The two directions differ in one comparison and one word.
macro_rules! page_query {
    ($want:expr, $ids:expr, $compare:literal, $order:literal) => {
        sqlx::query!(
            r#"select b.epoch, b.head, b.horizon, e.position as "position?",
                   e.audience as "audience?", e.type as "type?", e.module, e.record_id, e.user_id,
                   e.version, e.data::text, e.changes::text, e.private::text, e.owner_id,
                   e.new_owner as "new_owner?", e.truncated as "truncated?", e.created_at as "created_at?"
               from porchlight.brokers b
               left join lateral (
                   select e.* from unnest($2::text[]) as mine(audience)
                   cross join lateral (
                       select * from porchlight.events e
                       where e.broker_id = b.broker_id and e.audience = mine.audience
                           and e.position "# + $compare + r#" $3
                           and ($4::text[] is null or e.type like any($4))
                           and ($5::text[] is null or e.module || '/' || e.record_id = any($5))
                       order by e.position "# + $order + r#" limit $6
                   ) e
                   order by e.position "# + $order + r#" limit $6
               ) e on true
               where b.broker_id = $1"#,
            $want.broker.as_str(),
            $ids,
            $want.beyond,
            $want.types as Option<&[String]>,
            $want.records as Option<&[String]>,
            $want.limit,
        )
        .map(|r| page_row!(r))
    };
}

/// A page of a few audiences' events; `None` when the broker has no log.
pub async fn page(connection: &mut PgConnection, want: &Want<'_>) -> sqlx::Result<Option<Page>> {
    let ids: Vec<_> = want.audiences.iter().map(ToString::to_string).collect();
    let rows = match want.direction {
        Direction::Forward => {
            page_query!(want, &ids, ">", "asc")
                .fetch_all(connection)
                .await?
        }
        Direction::Backward => {
            page_query!(want, &ids, "<", "desc")
                .fetch_all(connection)
                .await?
        }
    };
    Ok(gathered(rows, want.limit))
}

fn gathered(rows: Vec<PageRow>, limit: i64) -> Option<Page> {
    let first = rows.first()?;
    let epoch = Epoch::stored(&first.epoch);
    let head = Head {
        epoch,
        head: first.head,
        horizon: first.horizon,
    };
    let events: Vec<_> = rows.into_iter().filter_map(|r| r.row.event()).collect();
    let is_last = i64::try_from(events.len()).unwrap_or(i64::MAX) < limit;
    Some(Page {
        head,
        events,
        is_last,
    })
}

/// A page for replay: events of `audiences` in `(after, upto]`.
#[derive(Debug)]
pub struct ReplayPage {
    /// Where the log stood.
    pub head: Head,
    /// Everything of these audiences up to here is in `events`.
    pub upto: i64,
    /// The events, in order.
    pub events: Vec<Event>,
}

/// What any of `audiences` missed after a position; `None` when the broker has no log.
pub async fn replay(
    connection: &mut PgConnection,
    broker: &BrokerId,
    audiences: &[Audience],
    after: i64,
) -> sqlx::Result<Option<ReplayPage>> {
    if audiences.len() > FEW_AUDIENCES {
        return replay_wide(connection, broker, audiences, after).await;
    }
    let direction = Direction::Forward;
    let want = Want {
        broker,
        audiences,
        beyond: after,
        direction,
        types: None,
        records: None,
        limit: PAGE_EVENTS,
    };
    Ok(page(connection, &want).await?.map(
        |Page {
             head,
             events,
             is_last,
         }| {
            let last = events.last().map_or(after, |e| e.position);
            let upto = if is_last { head.head.max(last) } else { last };
            ReplayPage { head, upto, events }
        },
    ))
}

async fn replay_wide(
    connection: &mut PgConnection,
    broker: &BrokerId,
    audiences: &[Audience],
    after: i64,
) -> sqlx::Result<Option<ReplayPage>> {
    let ids: Vec<_> = audiences.iter().map(ToString::to_string).collect();
    let rows = sqlx::query!(
        r#"select b.epoch, b.head, b.horizon, e.position as "position?",
               e.audience as "audience?", e.type as "type?", e.module, e.record_id, e.user_id,
               e.version, e.data::text, e.changes::text, e.private::text, e.owner_id,
               e.new_owner as "new_owner?", e.truncated as "truncated?", e.created_at as "created_at?"
           from porchlight.brokers b
           left join porchlight.events e on e.broker_id = b.broker_id
               and e.position > $2 and e.position <= $2 + $3 and e.audience = any($4)
           where b.broker_id = $1 order by e.position"#,
        broker.as_str(),
        after,
        WIDE_PAGE_POSITIONS,
        &ids,
    )
    .map(|r| page_row!(r))
    .fetch_all(connection)
    .await?;
    Ok(gathered(rows, i64::MAX).map(|Page { head, events, .. }| {
        let upto = (after + WIDE_PAGE_POSITIONS).min(head.head);
        ReplayPage {
            upto: upto.max(after),
            head,
            events,
        }
    }))
}
