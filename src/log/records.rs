//! The audience of a record, as its last event has it. [`crate::log::Event::record_audience`] has
//! the same rule for one event, and retention for those that it removes: what it keeps of them counts when the
//! log has no event of the record.

use sqlx::PgConnection;

use crate::log::event::{Audience, RecordAudience};
use crate::platform::{BrokerId, RecordPath};

/// The audience of a record's last event that is not for one user. `None` when there was none, or when it was
/// for the whole brokerage and is removed.
pub async fn audience(
    connection: &mut PgConnection,
    broker: &BrokerId,
    record: &RecordPath,
) -> sqlx::Result<Option<Audience>> {
    audience_before(connection, broker, record, i64::MAX).await
}

/// The same before a position.
///
/// The end of a lock does not count: its audience is that of the lock's beginning.
pub async fn audience_before(
    connection: &mut PgConnection,
    broker: &BrokerId,
    record: &RecordPath,
    position: i64,
) -> sqlx::Result<Option<Audience>> {
    let found = sqlx::query!(
        "(select audience, position from porchlight.events
          where broker_id = $1 and module = $2 and record_id = $3 and audience not like 'user:%'
              and type not like '%:unlocked' and position < $4
          order by position desc limit 1)
         union all
         select audience, position from porchlight.record_audiences
         where broker_id = $1 and module = $2 and record_id = $3 and position < $4
         order by position desc limit 1",
        broker.as_str(),
        record.module.as_str(),
        record.id.as_str(),
        position,
    )
    .fetch_optional(connection)
    .await?;
    let audience = found.and_then(|row| row.audience);
    Ok(audience.and_then(|audience| audience.parse().ok()))
}

/// The audiences of many records, in their order. A record of which nothing is known has the brokerage.
pub async fn audiences(
    connection: &mut PgConnection,
    records: &[(BrokerId, RecordPath)],
) -> sqlx::Result<Vec<RecordAudience>> {
    let brokers: Vec<_> = records.iter().map(|(broker, _)| broker.as_str()).collect();
    let modules: Vec<_> = records.iter().map(|(_, r)| r.module.as_str()).collect();
    let ids: Vec<_> = records.iter().map(|(_, r)| r.id.as_str()).collect();
    let rows = sqlx::query!(
        r#"select e.audience as "audience?", coalesce(e.position, 0) as "position!"
           from unnest($1::text[], $2::text[], $3::text[])
               with ordinality as r(broker_id, module, record_id, ord)
           left join lateral (
               (select audience, position from porchlight.events e
                where e.broker_id = r.broker_id and e.module = r.module
                    and e.record_id = r.record_id and e.audience not like 'user:%'
                    and e.type not like '%:unlocked'
                order by position desc limit 1)
               union all
               select audience, position from porchlight.record_audiences k
               where k.broker_id = r.broker_id and k.module = r.module
                   and k.record_id = r.record_id
               order by position desc limit 1
           ) e on true
           order by r.ord"#,
        &brokers as &[&str],
        &modules as &[&str],
        &ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let audiences = rows.into_iter().map(|row| RecordAudience {
        audience: row
            .audience
            .and_then(|text| text.parse().ok())
            .unwrap_or(Audience::Broker),
        position: row.position,
    });
    Ok(audiences.collect())
}
