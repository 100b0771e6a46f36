//! Appending events: the last statement of a transaction that changes something.

use std::sync::Arc;

use sqlx::PgConnection;
use sqlx::types::JsonRawValue;
use time::OffsetDateTime;

use super::owners;
use crate::log::event::{Epoch, Event, NewEvent};
use crate::platform::{BrokerId, Dice, ModuleName, RecordId, UserId};

pub mod shared;

/// Events for one log.
#[derive(Debug)]
pub struct EventBatch<'a> {
    pub broker: &'a BrokerId,
    pub events: &'a [NewEvent],
}

impl EventBatch<'_> {
    /// Whether an event changes the owner of its record.
    #[must_use]
    pub fn has_new_owners(&self) -> bool {
        self.events.iter().any(|event| event.is_new_owner)
    }

    /// The positions of its events, the last of which is at `head`.
    fn appended(&self, epoch: Epoch, head: i64, at: OffsetDateTime) -> Appended {
        let count = len(self.events);
        Appended {
            broker: self.broker.clone(),
            epoch,
            first: head - count + 1,
            at,
            count,
        }
    }
}

/// The positions of a batch. They are valid once the transaction is committed.
#[derive(Debug, Clone)]
pub struct Appended {
    pub broker: BrokerId,
    pub epoch: Epoch,
    /// The position of the first event; the others follow without a gap.
    pub first: i64,
    /// The time of the append, on the database's clock.
    pub at: OffsetDateTime,
    pub count: i64,
}

impl Appended {
    /// The newest position of the log after this.
    #[must_use]
    pub fn head(&self) -> i64 {
        self.first + self.count - 1
    }

    /// The batch's events, with their positions.
    pub fn events<'a>(
        &'a self,
        bodies: impl IntoIterator<Item = NewEvent> + 'a,
    ) -> impl Iterator<Item = Event> + 'a {
        let positions = self.first..;
        positions.zip(bodies).map(|(position, body)| Event {
            position,
            created_at: self.at,
            body,
        })
    }
}

/// Appends every batch (one per brokerage) at the next positions of its log.
///
/// It locks the brokerages in the order of their ids, so that two appends never wait for each
/// other. The locks last until the caller's transaction ends.
pub async fn append(
    connection: &mut PgConnection,
    dice: &Dice,
    batches: &[EventBatch<'_>],
) -> sqlx::Result<Vec<Appended>> {
    let appended = insert(connection, dice, batches).await?;
    if batches.iter().any(EventBatch::has_new_owners) {
        owners::pass_on(connection, batches, &appended).await?;
    }
    Ok(appended)
}

/// Statements that append differ in what else they select. `h` is the log, with its new head.
macro_rules! append_query {
    ($rows:expr, $columns:literal, $from:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query!(
            r#"with heads as (
               insert into porchlight.brokers as b (broker_id, epoch, head)
               select w.broker_id, w.epoch, w.n
               from unnest($1::text[], $2::text[], $3::bigint[]) as w(broker_id, epoch, n)
               order by w.broker_id
               on conflict (broker_id) do update set head = b.head + excluded.head
               -- The time once the log is ours: times grow with positions.
               returning broker_id, epoch, head, clock_timestamp() as told_at
           ), told as (
               insert into porchlight.events (broker_id, position, audience, type, module,
                   record_id, user_id, version, data, changes, private, owner_id, new_owner,
                   previous, truncated, created_at, traceparent)
               select e.broker_id, h.head - e.behind, e.audience, e.type, e.module,
                   e.record_id, e.user_id, e.version, e.data::json, e.changes::json,
                   e.private::json, e.owner_id, e.is_new_owner, e.previous::json, e.is_truncated,
                   h.told_at, e.traceparent
               from unnest($4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
                       $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[],
                       $14::text[], $15::text[], $16::boolean[], $17::text[], $18::boolean[], $19::text[])
                   as e(broker_id, behind, audience, type, module, record_id, user_id, version,
                       data, changes, private, owner_id, is_new_owner, previous, is_truncated,
                       traceparent)
               join heads h using (broker_id)
           )
           select h.broker_id as "broker_id!", h.epoch as "epoch!", h.head as "head!",
               h.told_at as "at!""# + $columns + r#"
           from heads h"# + $from,
            &$rows.brokers as &[&str],
            &$rows.epochs,
            &$rows.counts,
            &$rows.broker as &[&str],
            &$rows.behind,
            &$rows.audience,
            &$rows.event_type as &[&str],
            &$rows.module.0 as &[Option<&str>],
            &$rows.record.0 as &[Option<&str>],
            &$rows.user.0 as &[Option<&str>],
            &$rows.version.0 as &[Option<i64>],
            &$rows.data.0 as &[Option<&str>],
            &$rows.changes.0 as &[Option<&str>],
            &$rows.private.0 as &[Option<&str>],
            &$rows.owner.0 as &[Option<&str>],
            &$rows.is_new_owner,
            &$rows.previous.0 as &[Option<&str>],
            &$rows.is_truncated,
            &$rows.traceparent.0 as &[Option<String>],
            $($argument),*
        )
    };
}
pub(super) use append_query;

async fn insert(
    connection: &mut PgConnection,
    dice: &Dice,
    batches: &[EventBatch<'_>],
) -> sqlx::Result<Vec<Appended>> {
    let rows = AppendColumns::of(dice, batches);
    let appended = append_query!(rows, "", "").fetch_all(connection).await?;
    let batch = |id: &str| batches.iter().find(|b| b.broker.as_str() == id);
    let appended = appended.into_iter().filter_map(|row| {
        let batch = batch(&row.broker_id)?;
        Some(batch.appended(Epoch::stored(&row.epoch), row.head, row.at))
    });
    Ok(appended.collect())
}

fn len<T>(items: &[T]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

/// All batches and their events as columns, which `unnest` takes.
#[derive(Default)]
struct AppendColumns<'a> {
    brokers: Vec<&'a str>,
    epochs: Vec<String>,
    counts: Vec<i64>,
    broker: Vec<&'a str>,
    /// How many events of the same batch follow.
    behind: Vec<i64>,
    audience: Vec<String>,
    event_type: Vec<&'a str>,
    module: SparseColumn<&'a str>,
    record: SparseColumn<&'a str>,
    user: SparseColumn<&'a str>,
    version: SparseColumn<i64>,
    data: SparseColumn<&'a str>,
    changes: SparseColumn<&'a str>,
    private: SparseColumn<&'a str>,
    owner: SparseColumn<&'a str>,
    is_new_owner: Vec<bool>,
    previous: SparseColumn<&'a str>,
    is_truncated: Vec<bool>,
    traceparent: SparseColumn<String>,
}

impl<'a> AppendColumns<'a> {
    fn of(dice: &Dice, batches: &'a [EventBatch<'a>]) -> Self {
        let mut columns = Self::default();
        for batch in batches {
            columns.brokers.push(batch.broker.as_str());
            columns.epochs.push(dice.tag(Epoch::LEN));
            columns.counts.push(len(batch.events));
            for (behind, event) in (0..len(batch.events)).rev().zip(batch.events) {
                columns.push(batch.broker, behind, event);
            }
        }
        columns
    }

    fn push(&mut self, broker: &'a BrokerId, behind: i64, event: &'a NewEvent) {
        let place = self.behind.len();
        self.broker.push(broker.as_str());
        self.behind.push(behind);
        self.audience.push(event.audience.to_string());
        self.event_type.push(event.event_type.as_str());
        self.is_new_owner.push(event.is_new_owner);
        self.is_truncated.push(event.is_truncated);
        let text = |json: &'a Option<Arc<JsonRawValue>>| json.as_deref().map(JsonRawValue::get);
        let (user, owner) = (event.user.as_ref(), event.owner.as_ref());
        let private = event.private.as_ref().map(|private| private.0.get());
        let trace = event.trace.as_ref().map(ToString::to_string);
        self.module
            .put(place, event.module().map(ModuleName::as_str));
        self.record
            .put(place, event.record_id().map(RecordId::as_str));
        self.user.put(place, user.map(UserId::as_str));
        self.version.put(place, event.version);
        self.data.put(place, text(&event.data));
        self.changes.put(place, text(&event.changes));
        self.private.put(place, private);
        self.owner.put(place, owner.map(UserId::as_str));
        self.previous.put(place, text(&event.previous));
        self.traceparent.put(place, trace);
    }
}

/// It ends with its last value, and `unnest` adds nulls. Most columns of most groups stay empty.
#[derive(Default)]
struct SparseColumn<T>(Vec<Option<T>>);

impl<T> SparseColumn<T> {
    fn put(&mut self, place: usize, value: Option<T>) {
        if value.is_some() {
            self.0.resize_with(place, || None);
            self.0.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_ends_with_its_last_value_and_each_value_stays_in_its_row() {
        let mut column = SparseColumn::default();
        for (place, value) in [None, Some(1), None, None, Some(4), None]
            .into_iter()
            .enumerate()
        {
            column.put(place, value);
        }
        assert_eq!(column.0, [None, Some(1), None, None, Some(4)]);
        let mut empty = SparseColumn::<i64>::default();
        empty.put(0, None);
        assert!(empty.0.is_empty());
    }
}
