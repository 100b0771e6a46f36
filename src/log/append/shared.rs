//! The append of an instance that shares its logs with others, without Redis: the same statement announces the
//! commit, and returns what the others have committed before it. So neither needs a statement of its own.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{AppendColumns, Appended, EventBatch, append_query};
use crate::log::event::{Epoch, Event};
use crate::log::peers::postgres::{LOGS, fits_in_notice};
use crate::log::read::EventRow;
use crate::platform::{BrokerId, Dice, InstanceCount};

/// Events of other instances that a commit reads. When there are more, the follower reads them.
const MOST_EVENTS: i64 = 200;
const MOST_BYTES: i64 = 256 << 10;

/// The logs that this instance follows.
pub trait FollowedLogs: std::fmt::Debug + Send + Sync {
    /// The newest position that this instance has of a log, if it follows the log.
    fn known(&self, broker: &BrokerId) -> Option<i64>;
}

/// What a commit needs to be shared with other instances.
#[derive(Clone, Debug)]
pub struct CommitSharing {
    /// This instance's name, for notices.
    pub instance: Arc<str>,
    pub instances: InstanceCount,
    pub logs: Arc<dyn FollowedLogs>,
}

/// A log that was appended to.
#[derive(Debug)]
pub struct SharedAppend {
    pub appended: Appended,
    /// Events in front of the new ones that this instance did not have, in order. `None`: it does not follow the log.
    pub others: Option<Vec<Event>>,
}

impl CommitSharing {
    /// Whether there are other instances, one notice has space for these logs, and one statement appends.
    #[must_use]
    pub fn suits(&self, batches: &[EventBatch<'_>]) -> bool {
        let logs = batches.iter().map(|batch| batch.broker);
        self.instances.has_others()
            && fits_in_notice(&self.instance, logs)
            && !batches.iter().any(EventBatch::has_new_owners)
    }

    /// Like [`super::append`], for batches that suit. The other instances are notified by the commit.
    pub async fn append(
        &self,
        connection: &mut PgConnection,
        dice: &Dice,
        batches: &[EventBatch<'_>],
    ) -> sqlx::Result<Vec<SharedAppend>> {
        let rows = AppendColumns::of(dice, batches);
        let known: Vec<_> = batches.iter().map(|b| self.logs.known(b.broker)).collect();
        let rows = append_query!(
            rows,
            r#", (select pg_notify($20, $21 || string_agg(chr(10) || broker_id || ' ' || head, ''))
                   from heads)::text as notice,
               e.position as "position?", e.audience as "audience?", e.type as "type?",
               e.module as "module?", e.record_id as "record_id?", e.user_id as "user_id?",
               e.version as "version?", e.data::text, e.changes::text, e.private::text,
               e.owner_id as "owner_id?", e.new_owner as "new_owner?", e.truncated as "truncated?",
               e.created_at as "created_at?", e.traceparent as "traceparent?""#,
            r#" join unnest($1::text[], $3::bigint[], $22::bigint[]) as k(broker_id, n, known)
                   using (broker_id)
               left join lateral porchlight.events_before(
                   h.broker_id, h.head - k.n + 1, k.known, $23, $24) e on true"#,
            LOGS,
            &*self.instance,
            &known as &[Option<i64>],
            MOST_EVENTS,
            MOST_BYTES,
        )
        .map(|row| SharedRow {
            broker: row.broker_id,
            epoch: Epoch::stored(&row.epoch),
            head: row.head,
            at: row.at,
            other: EventRow {
                position: row.position,
                audience: row.audience,
                r#type: row.r#type,
                module: row.module,
                record_id: row.record_id,
                user_id: row.user_id,
                version: row.version,
                data: row.data,
                changes: row.changes,
                private: row.private,
                owner_id: row.owner_id,
                new_owner: row.new_owner,
                truncated: row.truncated,
                created_at: row.created_at,
                traceparent: row.traceparent,
            },
        })
        .fetch_all(connection)
        .await?;
        let mut of_logs = FxHashMap::<_, Vec<_>>::default();
        for row in rows {
            let of_log = of_logs.entry(row.broker.clone()).or_default();
            of_log.push(row);
        }
        let logs = batches.iter().zip(known).filter_map(|(batch, known)| {
            let rows = of_logs.remove(batch.broker.as_str())?;
            SharedAppend::of(batch, rows, known.is_some())
        });
        Ok(logs.collect())
    }
}

/// A log that was appended to, and one of the events in front.
struct SharedRow {
    broker: String,
    epoch: Epoch,
    head: i64,
    at: OffsetDateTime,
    other: EventRow,
}

impl SharedAppend {
    /// A log whose append was not shared.
    #[must_use]
    pub fn alone(appended: Appended) -> Self {
        let others = None;
        Self { appended, others }
    }

    fn of(batch: &EventBatch<'_>, rows: Vec<SharedRow>, is_followed: bool) -> Option<Self> {
        let first = rows.first()?;
        let appended = batch.appended(first.epoch.clone(), first.head, first.at);
        let others = rows.into_iter().filter_map(|row| row.other.event());
        let mut others: Vec<_> = others.collect();
        others.sort_unstable_by_key(|event| event.position);
        let others = is_followed.then_some(others);
        Some(Self { appended, others })
    }
}
