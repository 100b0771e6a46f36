//! Removes one step of a log, and keeps who may see the records whose last event goes with it.
//!
//! The newest event of a record decides who may see it. Without this, a record would belong to the whole
//! brokerage as soon as its last event is removed.

use sqlx::PgConnection;

use super::{Deletions, STEP, is_mine};
use crate::platform::{BrokerId, Transaction};

/// Moves the horizon by one step and deletes the events before it, in one transaction.
pub(super) async fn remove(
    connection: &mut PgConnection,
    broker: &BrokerId,
    upto: i64,
    deletions: &Deletions,
) -> sqlx::Result<u64> {
    let mut transaction = Transaction::begin(connection).await?;
    if !is_mine(&mut transaction).await? {
        return Ok(0);
    }
    let horizon = sqlx::query_scalar!(
        "update porchlight.brokers set horizon = least($2, horizon + $3)
         where broker_id = $1 and horizon < $2 returning horizon",
        broker.as_str(),
        upto,
        STEP,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(horizon) = horizon else { return Ok(0) };
    let gone = remove_events(&mut transaction, broker, horizon, deletions).await?;
    transaction.commit().await?;
    Ok(gone.max(1))
}

/// Deletes the events up to a position, and returns how many. Where they have the last event of a record, its
/// audience is stored instead, or replaces the one that was stored before.
///
/// An event that is appended meanwhile may make a row needless. This does no harm: the row counts only while the
/// log has no event of the record.
async fn remove_events(
    connection: &mut PgConnection,
    broker: &BrokerId,
    horizon: i64,
    deletions: &Deletions,
) -> sqlx::Result<u64> {
    let gone = sqlx::query_scalar!(
        r#"with gone as (
               delete from porchlight.events where broker_id = $1 and position <= $2
               returning broker_id, module, record_id, audience, type, position
           ), last as (
               -- The same rule as when audiences are read.
               select distinct on (module, record_id) * from gone
               where record_id is not null and audience not like 'user:%' and type not like '%:unlocked'
               order by module, record_id, position desc
           ), judged as (
               -- With a limit, it is always one look into the index, however long the log is.
               select module, record_id, audience, position,
                   audience <> 'broker'
                       and (module, type) <> all (select * from unnest($3::text[], $4::text[]))
                       and (select e.position from porchlight.events e
                            where e.broker_id = $1 and e.module = l.module
                                and e.record_id = l.record_id and e.position > $2
                                and e.audience not like 'user:%' and e.type not like '%:unlocked'
                            limit 1) is null as is_needed
               from last l
           ), kept as (
               insert into porchlight.record_audiences as k
                   (broker_id, module, record_id, audience, position)
               select $1, module, record_id, audience, position from judged where is_needed
               on conflict (broker_id, module, record_id) do update
                   set audience = excluded.audience, position = excluded.position
           ), outdated as (
               delete from porchlight.record_audiences
               where broker_id = $1 and ctid = any (array(
                   select k.ctid from judged j
                   cross join lateral (
                       select k.ctid from porchlight.record_audiences k
                       where k.broker_id = $1 and k.module = j.module and k.record_id = j.record_id
                       limit 1
                   ) k
                   where not j.is_needed))
           )
           select count(*) as "n!" from gone"#,
        broker.as_str(),
        horizon,
        &deletions.modules,
        &deletions.types,
    )
    .fetch_one(connection)
    .await?;
    Ok(gone.unsigned_abs())
}
