//! The head of each brokerage's log.

use sqlx::PgConnection;

use crate::log::event::{Cursor, Epoch};
use crate::platform::BrokerId;
use crate::platform::Dice;

/// The ends of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub epoch: Epoch,
    /// The newest position.
    pub position: i64,
    /// Retention has removed the positions up to here.
    pub horizon: i64,
}

impl Head {
    /// The cursor after the newest event.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.epoch.at(self.position)
    }
}

/// What the follower reads with every poll.
#[derive(Debug)]
pub struct FollowedHeads {
    pub logs: Vec<(BrokerId, Head)>,
    /// The database was restored or promoted, and the epochs are still those of before.
    pub is_copy: bool,
}

/// The heads of the logs, and whether the database is another one by now.
pub async fn follow(
    connection: &mut PgConnection,
    brokers: &[BrokerId],
) -> sqlx::Result<FollowedHeads> {
    let ids: Vec<_> = brokers.iter().map(BrokerId::as_str).collect();
    let rows = sqlx::query!(
        r#"select broker_id, epoch, head, horizon, (select porchlight.is_copy()) as "is_copy!"
           from porchlight.brokers where broker_id = any($1)"#,
        &ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let is_copy = rows.iter().any(|row| row.is_copy);
    let logs = rows.into_iter().filter_map(|row| {
        let head = Head {
            epoch: Epoch::stored(&row.epoch),
            position: row.head,
            horizon: row.horizon,
        };
        Some((BrokerId::parse(&row.broker_id).ok()?, head))
    });
    Ok(FollowedHeads {
        logs: logs.collect(),
        is_copy,
    })
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
    let head = |epoch: &str, position, horizon| Head {
        epoch: Epoch::stored(epoch),
        position,
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
