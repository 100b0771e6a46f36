//! How many of somebody's notifications are unread: counted on from where it was counted last.
//!
//! A mark keeps a count up to one notification. It is good for certain teams, and until retention
//! removes notifications of the broker. So a count costs what is new, and not all that is unread.
//! Whoever changes what is read changes the kept count in the same transaction.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection};

use super::list::teams;
use super::sequence::{hold, take_readers};
use crate::identity::Caller;
use crate::platform::{BrokerId, UserId};

pub(super) async fn count(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select unread as "unread!" from porchlight.count_unread($1, $2, $3)"#,
        caller.broker.as_str(),
        caller.user.as_str(),
        &teams(caller),
    )
    .fetch_one(connection)
    .await
}

/// The caller's, whose mark is ours, in a book that is held and ends at `last`.
pub(super) async fn keep(
    connection: &mut PgConnection,
    caller: &Caller,
    last: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select porchlight.keep_unread($1, $2, $3, $4) as "unread!""#,
        caller.broker.as_str(),
        caller.user.as_str(),
        &teams(caller),
        last,
    )
    .fetch_one(connection)
    .await
}

/// Keeps the caller's for the next time: a list by itself changes nothing.
pub(super) async fn catch_up(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    let last = hold(&mut transaction, &caller.broker).await?;
    take_readers(&mut transaction, &caller.broker, &[caller.user.as_str()]).await?;
    keep(&mut transaction, caller, last).await?;
    transaction.commit().await
}

/// Those of users who have ever asked, whose marks are ours, in a book that is ours and ends at
/// `last`: of the others nobody knows the teams.
pub(super) async fn keep_all(
    connection: &mut PgConnection,
    broker: &BrokerId,
    (users, last): (&[&str], i64),
) -> sqlx::Result<BTreeMap<UserId, i64>> {
    let rows = sqlx::query!(
        r#"select user_id, porchlight.keep_unread(broker_id, user_id, teams, $3) as "unread!"
           from porchlight.notification_marks
           where broker_id = $1 and user_id = any($2) and teams is not null"#,
        broker.as_str(),
        users as &[&str],
        last,
    )
    .fetch_all(connection)
    .await?;
    let parsed = |id: &str| UserId::parse(id).ok();
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((parsed(&row.user_id)?, row.unread)))
        .collect())
}

/// The caller reads one that was unread.
pub(super) async fn read_one(
    connection: &mut PgConnection,
    caller: &Caller,
    id: i64,
) -> sqlx::Result<()> {
    let (broker, user) = (caller.broker.as_str(), caller.user.as_str());
    sqlx::query!(
        "insert into porchlight.notification_reads (broker_id, id, user_id) values ($1, $2, $3)",
        broker,
        id,
        user,
    )
    .execute(&mut *connection)
    .await?;
    // A count for other teams may not have had it: it is not used again.
    sqlx::query!(
        "update porchlight.notification_marks
         set counted = counted - 1,
             counted_teams = case when counted_teams = $4 then counted_teams end
         where broker_id = $1 and user_id = $2 and counted_up_to >= $3",
        broker,
        user,
        id,
        &teams(caller),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The caller reads all up to one. Of those that were counted, what is read now is taken off: each
/// is looked at once, because it stays below the mark.
pub(super) async fn read_up_to(
    connection: &mut PgConnection,
    caller: &Caller,
    up_to: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update porchlight.notification_marks
         set read_up_to = greatest(read_up_to, $3),
             counted = case when $3 >= counted_up_to then 0 else counted
                 - porchlight.unread_between(broker_id, user_id, $4, read_up_to, $3) end,
             counted_teams = case when counted_teams = $4 then counted_teams end
         where broker_id = $1 and user_id = $2",
        caller.broker.as_str(),
        caller.user.as_str(),
        up_to,
        &teams(caller),
    )
    .execute(connection)
    .await
    .map(drop)
}
