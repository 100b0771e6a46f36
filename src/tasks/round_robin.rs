//! Which brokerage is next when a worker claims tasks of all brokerages.
//!
//! Brokerages with queued tasks take turns in the order of their names. The database stores the last
//! turn, so all workers of all instances share one order. Finding the next brokerage is one index
//! lookup, however many tasks a brokerage has.

use sqlx::PgConnection;

use crate::platform::{BrokerId, TaskType};

/// Gives the next turn to a brokerage that has a queued task of these types. If there is none,
/// nothing is written.
pub(super) async fn next(
    connection: &mut PgConnection,
    types: &[TaskType],
) -> sqlx::Result<Option<BrokerId>> {
    // The order in which the types are named must not matter.
    let mut types: Vec<_> = types.iter().map(TaskType::as_str).collect();
    types.sort_unstable();
    types.dedup();
    let next = sqlx::query_scalar!(
        r#"insert into porchlight.claim_turns as turn (types, broker_id)
           select $1::text[], first.broker_id from (
               select min(ready.broker_id) as broker_id from unnest($1::text[]) as wanted(type)
               cross join lateral (
                   select c.broker_id from porchlight.tasks c
                   where c.type = wanted.type
                       and c.state = 'queued' and not c.is_workflow and c.run_after is null
                   order by c.broker_id limit 1
               ) ready
           ) first
           where first.broker_id is not null
           on conflict (types) do update set broker_id = coalesce((
               select min(ready.broker_id) from unnest($1::text[]) as wanted(type)
               cross join lateral (
                   select c.broker_id from porchlight.tasks c
                   where c.type = wanted.type and c.broker_id > turn.broker_id
                       and c.state = 'queued' and not c.is_workflow and c.run_after is null
                   order by c.broker_id limit 1
               ) ready
           ), excluded.broker_id)
           returning broker_id"#,
        &types as &[&str],
    );
    let next = next.fetch_optional(connection).await?;
    Ok(next.and_then(|id| BrokerId::parse(&id).ok()))
}
