//! Where the logs of brokers stand.

use sqlx::PgConnection;

use crate::log::event::Epoch;
use crate::platform::BrokerId;
use crate::platform::Dice;

/// Where one broker's log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "the head of a log is what everyone calls it"
)]
pub struct Head {
    pub epoch: Epoch,
    pub head: i64,
    /// Positions up to here are gone.
    pub horizon: i64,
}

/// The heads of those of `brokers` that have a log.
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

/// The heads of `brokers`, with a new, empty log for each that had none.
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
