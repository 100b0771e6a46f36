//! Whom the log tells of a record.

use sqlx::PgConnection;

use crate::event::Audience;
use crate::ids::{BrokerId, RecordPath};

/// Who was told of a record last, users by themselves aside; `None` where the log knows nothing.
pub async fn audience(
    connection: &mut PgConnection,
    broker: &BrokerId,
    record: &RecordPath,
) -> sqlx::Result<Option<Audience>> {
    let asked = [(broker.clone(), record.clone())];
    let answers = audiences(connection, &asked).await?;
    Ok(answers.into_iter().next().flatten())
}

/// The same for many records, in their order.
pub async fn audiences(
    connection: &mut PgConnection,
    records: &[(BrokerId, RecordPath)],
) -> sqlx::Result<Vec<Option<Audience>>> {
    let brokers: Vec<_> = records.iter().map(|(broker, _)| broker.as_str()).collect();
    let modules: Vec<_> = records.iter().map(|(_, r)| r.module.as_str()).collect();
    let ids: Vec<_> = records.iter().map(|(_, r)| r.id.as_str()).collect();
    let audiences = sqlx::query_scalar!(
        r#"select e.audience as "audience?"
           from unnest($1::text[], $2::text[], $3::text[])
               with ordinality as r(broker_id, module, record_id, ord)
           left join lateral (
               select audience from porchlight.events e
               where e.broker_id = r.broker_id and e.module = r.module
                   and e.record_id = r.record_id and e.audience not like 'user:%'
               order by position desc limit 1
           ) e on true
           order by r.ord"#,
        &brokers as &[&str],
        &modules as &[&str],
        &ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let parsed = |audience: Option<String>| audience.and_then(|text| text.parse().ok());
    Ok(audiences.into_iter().map(parsed).collect())
}
