//! Removes what has ended long ago.

use std::time::Duration;

use sqlx::PgConnection;

use super::ms;

/// Removes signs and instances that ended longer than `age` ago.
pub async fn delete_old(connection: &mut PgConnection, age: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "with gone as (
             delete from porchlight.instances
             where live_until < clock_timestamp() - $1 * interval '1 ms'
         )
         delete from porchlight.presence p
         where p.live_until < clock_timestamp() - $1 * interval '1 ms'
             or p.live_until is null and not exists (
                 select from porchlight.instances i
                 where i.instance = p.instance
                     and i.live_until > clock_timestamp() - $1 * interval '1 ms')",
        ms(age),
    )
    .execute(connection)
    .await?;
    Ok(())
}
