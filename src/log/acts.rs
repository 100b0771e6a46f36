//! Reads events for notifications and activity. They include the previous values of the changed
//! fields, which no stream gets.

use std::sync::Arc;

use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::Head;
use super::read::{EventRow, event_row};
use crate::log::event::{Audience, Epoch, Event};
use crate::platform::{BrokerId, ModuleName, RecordId, UserId};

struct ActRow {
    row: EventRow,
    previous: Option<String>,
}

impl ActRow {
    fn event(self) -> Option<Event> {
        let mut event = self.row.event()?;
        let previous = self.previous.and_then(|p| RawValue::from_string(p).ok());
        event.body.previous = previous.map(Arc::from);
        Some(event)
    }
}

/// Converts a row of either query below; each query has a row type of its own.
macro_rules! act_row {
    ($r:ident) => {
        ActRow {
            previous: $r.previous,
            row: event_row!($r),
        }
    };
}

/// The events in `(after, upto]` that may become notifications: ends of tasks, ends and requests of
/// locks, and changes of a record by another user than its owner.
pub async fn notable(
    connection: &mut PgConnection,
    broker: &BrokerId,
    after: i64,
    upto: i64,
) -> sqlx::Result<Vec<Event>> {
    let rows = sqlx::query!(
        r#"select position as "position?", audience as "audience?", type as "type?", module, record_id,
               user_id, version, data::text, changes::text, private::text, owner_id,
               new_owner as "new_owner?", truncated as "truncated?", created_at as "created_at?", previous::text
           from porchlight.events
           where broker_id = $1 and position > $2 and position <= $3
               and (type like 'ai:task:%' or type like '%:unlocked' or type like '%:lock\_requested'
                   or record_id is not null and owner_id is distinct from user_id
                       and owner_id is not null)
           order by position"#,
        broker.as_str(),
        after,
        upto,
    )
    .map(|r| act_row!(r))
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(ActRow::event).collect())
}

#[derive(Clone, Debug)]
pub struct ActsQuery<'a> {
    pub broker: &'a BrokerId,
    pub audiences: &'a [Audience],
    pub before: i64,
    pub types: &'a [String],
    pub module: Option<&'a ModuleName>,
    pub record: Option<&'a RecordId>,
    pub user: Option<&'a UserId>,
    pub limit: i64,
    /// A page has fewer bytes, unless it is a single event.
    pub most_bytes: i64,
}

/// Events from new to old, from one database snapshot.
#[derive(Debug)]
pub struct Acts {
    pub head: Head,
    pub events: Vec<Event>,
    pub has_more: bool,
}

/// `None` when the brokerage has no log.
pub async fn list(
    connection: &mut PgConnection,
    query: &ActsQuery<'_>,
) -> sqlx::Result<Option<Acts>> {
    let ids: Vec<_> = query.audiences.iter().map(ToString::to_string).collect();
    let rows = sqlx::query!(
        r#"select b.epoch, b.head, b.horizon, e.position as "position?",
               e.audience as "audience?", e.type as "type?", e.module as "module?",
               e.record_id as "record_id?", e.user_id as "user_id?", e.version as "version?",
               e.data::text, e.changes::text, e.private::text, e.owner_id as "owner_id?",
               e.new_owner as "new_owner?", e.truncated as "truncated?",
               e.created_at as "created_at?", e.previous::text
           from porchlight.brokers b
           left join lateral porchlight.acts_page(b.broker_id, $2, $3, $4, $5, $6, $7, $8, $9)
               with ordinality e on true
           where b.broker_id = $1 order by e.ordinality"#,
        query.broker.as_str(),
        &ids,
        query.before,
        query.types,
        query.module.map(ModuleName::as_str),
        query.record.map(RecordId::as_str),
        query.user.map(UserId::as_str),
        query.limit,
        query.most_bytes,
    )
    .map(|r| {
        let head = Head {
            epoch: Epoch::stored(&r.epoch),
            position: r.head,
            horizon: r.horizon,
        };
        (head, act_row!(r))
    })
    .fetch_all(connection)
    .await?;
    let Some((head, _)) = rows.first() else {
        return Ok(None);
    };
    let head = head.clone();
    let last = rows.last().map(|(_, last)| last.row.position);
    let has_more = rows.len() > 1 && last == Some(None);
    let acts = rows.into_iter();
    Ok(Some(Acts {
        head,
        events: acts.filter_map(|(_, row)| row.event()).collect(),
        has_more,
    }))
}
