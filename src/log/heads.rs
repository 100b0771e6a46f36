//! The head of each brokerage's log.

use sqlx::PgConnection;

use crate::log::event::Epoch;
use crate::platform::BrokerId;
use crate::platform::Dice;

/// The ends of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "head is the usual name of the newest position"
)]
pub struct Head {
    pub epoch: Epoch,
    pub head: i64,
    /// Retention has removed the positions up to here.
    pub horizon: i64,
}

/// The heads of the logs. A brokerage without a log is left out.
pub async fn read(
    connection: &mut PgConnection,
    brokers: &[BrokerId],
) -> sqlx::Result<Vec<(BrokerId, Head)>> {
    let ids: Vec<_> = brokers.iter().map(BrokerId::as_str).collect();
    let rows = sqlx::query!(
        "select broker_id, epoch, head, horizon from porchlight.brokers where broker_id = any($1)",
        &ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let head = |epoch: &str, head, horizon| Head {
        epoch: Epoch::stored(epoch),
        head,
        horizon,
    };
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let broker = BrokerId::parse(&row.broker_id).ok()?;
            Some((broker, head(&row.epoch, row.head, row.horizon)))
        })
        .collect())
}

/// The heads of the logs. A brokerage without a log gets an empty one.
pub async fn ensure(
    connection: &mut PgConnection,
    dice: &Dice,
    brokers: &[BrokerId],
) -> sqlx::Result<Vec<(BrokerId, Head)>> {
    let known = read(connection, brokers).await?;
    if known.len() == brokers.len() {
        return Ok(known);
    }
    let ids: Vec<_> = brokers.iter().map(BrokerId::as_str).collect();
    let epochs: Vec<_> = brokers.iter().map(|_| dice.tag(Epoch::LEN)).collect();
    sqlx::query!(
        "insert into porchlight.brokers (broker_id, epoch)
         select broker_id, epoch from unnest($1::text[], $2::text[]) as b(broker_id, epoch)
         order by broker_id on conflict do nothing",
        &ids as &[&str],
        &epochs,
    )
    .execute(&mut *connection)
    .await?;
    read(connection, brokers).await
}
