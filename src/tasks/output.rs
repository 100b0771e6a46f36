//! Output: the text that a model writes, kept with its task and read from any byte.
//!
//! Output belongs to an attempt: with the next one it begins anew, and the old one goes.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::row::{TaskRow, take};
use super::{LeaseClaim, State, TaskError, Tasks};
use crate::platform::BrokerId;

mod loader;
mod reader;
mod rows;
pub mod stream;

pub use loader::{LoaderParts, OutputReads};
pub use reader::{OutputPosition, OutputReader, Step};

/// Bytes of output that a task may have.
pub const MOST_BYTES: i32 = 4 * 1_024 * 1_024;

/// A chunk that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputAck {
    /// Where the next one begins.
    pub offset: i32,
    /// The task is to end: stop, and say so.
    pub cancel: bool,
    /// Until when the task is the worker's without another sign.
    pub lease_until: OffsetDateTime,
}

impl Tasks {
    /// Adds a chunk at the end of the output, and renews the lease. A chunk that is there
    /// already changes nothing else.
    pub async fn write_output(
        &self,
        holding: &LeaseClaim,
        (offset, text): (i32, &str),
    ) -> Result<OutputAck, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let row = take(&mut transaction, holding.at()).await?;
        let mut row = row.ok_or_else(|| TaskError::Unknown(holding.task.clone()))?;
        holding.check(&row)?;
        let len = i32::try_from(text.len()).map_err(|_| TaskError::OutputTooLarge)?;
        let end = offset.checked_add(len).ok_or(TaskError::OutputTooLarge)?;
        if offset == row.output_bytes && end > MOST_BYTES {
            return Err(TaskError::OutputTooLarge);
        }
        let is_new = offset == row.output_bytes;
        if is_new {
            insert(&mut transaction, holding, (offset, text)).await?;
            row.output_bytes = end;
        } else if !is_kept(&mut transaction, holding, (offset, text)).await? {
            return Err(TaskError::WrongOffset(row.output_bytes));
        }
        let lease_until = renew(&mut transaction, holding, row.output_bytes).await?;
        transaction.commit().await?;
        if is_new {
            self.notices.changed(&holding.broker, &holding.task);
        }
        Ok(OutputAck {
            offset: row.output_bytes,
            cancel: row.state == State::Cancelling,
            lease_until,
        })
    }
}

async fn insert(
    connection: &mut PgConnection,
    holding: &LeaseClaim,
    (offset, text): (i32, &str),
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into porchlight.task_output (broker_id, task_id, attempt, at_byte, chunk)
         values ($1, $2, $3, $4, $5)",
        holding.broker.as_str(),
        holding.task.as_str(),
        holding.fence,
        offset,
        text,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whether just this text stands there already.
async fn is_kept(
    connection: &mut PgConnection,
    holding: &LeaseClaim,
    (offset, text): (i32, &str),
) -> sqlx::Result<bool> {
    let found = sqlx::query!(
        r#"select min(at_byte) as first, string_agg(chunk, '' order by at_byte) as text
           from porchlight.task_output
           where broker_id = $1 and task_id = $2 and attempt = $3 and at_byte < $4::integer + $5::integer
               and at_byte >= coalesce((
                   select max(at_byte) from porchlight.task_output
                   where broker_id = $1 and task_id = $2 and attempt = $3 and at_byte <= $4), 0)"#,
        holding.broker.as_str(),
        holding.task.as_str(),
        holding.fence,
        offset,
        i32::try_from(text.len()).unwrap_or(i32::MAX),
    )
    .fetch_one(connection)
    .await?;
    let (Some(first), Some(kept)) = (found.first, found.text) else {
        return Ok(false);
    };
    let skipped = usize::try_from(offset - first).unwrap_or(usize::MAX);
    let rest = kept.as_bytes().get(skipped..);
    Ok(rest.is_some_and(|rest| rest.starts_with(text.as_bytes())))
}

async fn renew(
    connection: &mut PgConnection,
    holding: &LeaseClaim,
    output_bytes: i32,
) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(
        r#"update porchlight.tasks set output_bytes = $3,
               lease_until = clock_timestamp() + make_interval(secs => lease_seconds)
           where broker_id = $1 and id = $2 returning lease_until as "lease_until!""#,
        holding.broker.as_str(),
        holding.task.as_str(),
        output_bytes,
    )
    .fetch_one(connection)
    .await
}

/// A new attempt begins: what the last one wrote goes.
pub(super) async fn forget(
    connection: &mut PgConnection,
    broker: &BrokerId,
    row: &TaskRow,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from porchlight.task_output
         where broker_id = $1 and task_id = $2 and attempt < $3",
        broker.as_str(),
        row.id.as_str(),
        row.attempt,
    )
    .execute(connection)
    .await
    .map(drop)
}
