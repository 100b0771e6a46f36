//! A record gets another owner: the new owner sees the private fields of its earlier events.

use sqlx::PgConnection;

use super::{Appended, EventBatch};
use crate::platform::UserId;

/// Sets the new owner in the earlier events of the records.
///
/// This is a part of appending, so that no reader of the log at its new head sees a former owner.
pub(super) async fn pass_on(
    connection: &mut PgConnection,
    batches: &[EventBatch<'_>],
    appended: &[Appended],
) -> sqlx::Result<()> {
    let changes = OwnerChanges::of(batches, appended);
    if changes.position.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with latest as (
             select distinct on (broker_id, module, record_id) *
             from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
                 as c(broker_id, module, record_id, owner_id, position)
             order by broker_id, module, record_id, position desc
         )
         update porchlight.events e set owner_id = l.owner_id from latest l
         where e.broker_id = l.broker_id and e.module = l.module and e.record_id = l.record_id
             and e.position < l.position and e.private is not null
             and e.owner_id is distinct from l.owner_id",
        &changes.broker as &[&str],
        &changes.module as &[&str],
        &changes.record as &[&str],
        &changes.owner as &[Option<&str>],
        &changes.position,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The events that change an owner, as columns, which `unnest` takes.
#[derive(Default)]
struct OwnerChanges<'a> {
    broker: Vec<&'a str>,
    module: Vec<&'a str>,
    record: Vec<&'a str>,
    owner: Vec<Option<&'a str>>,
    position: Vec<i64>,
}

impl<'a> OwnerChanges<'a> {
    fn of(batches: &'a [EventBatch<'_>], appended: &'a [Appended]) -> Self {
        let mut changes = Self::default();
        for batch in batches.iter().filter(|batch| batch.has_new_owners()) {
            let log = appended.iter().find(|log| log.broker == *batch.broker);
            for (position, event) in (log.map_or(0, |log| log.first)..).zip(batch.events) {
                let (Some(module), Some(record)) = (event.module(), event.record_id()) else {
                    continue;
                };
                if event.is_new_owner {
                    changes.broker.push(batch.broker.as_str());
                    changes.module.push(module.as_str());
                    changes.record.push(record.as_str());
                    let owner = event.owner.as_ref();
                    changes.owner.push(owner.map(UserId::as_str));
                    changes.position.push(position);
                }
            }
        }
        changes
    }
}
