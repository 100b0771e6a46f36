//! Output: the text that a model writes. It is stored with its task and can be read from any byte.
//!
//! Output belongs to an attempt. The next attempt begins with empty output, and the old one is
//! removed.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::row::{self, TaskRow};
use super::{LeaseClaim, TaskError, TaskState, Tasks};
use crate::platform::BrokerId;

mod loader;
mod query;
mod reader;
pub mod stream;

pub use loader::{OutputLoaderParts, OutputReads};
pub use reader::{OutputPosition, OutputReader, OutputStart, OutputStep};

/// Bytes of output that a task may have.
pub const MOST_BYTES: i32 = 4 * 1_024 * 1_024;

/// A part of the output, and the byte at which it begins.
#[derive(Clone, Copy, Debug)]
pub struct OutputChunk<'a> {
    pub offset: i32,
    pub text: &'a str,
}

/// The answer to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputAck {
    /// Where the next chunk begins.
    pub offset: i32,
    /// The worker must stop and confirm that it has.
    pub cancel: bool,
    /// When the lease ends unless the worker renews it.
    pub lease_until: OffsetDateTime,
}

impl OutputChunk<'_> {
    /// The byte after the chunk.
    fn end(&self) -> Result<i32, TaskError> {
        let len = i32::try_from(self.text.len()).ok();
        let end = len.and_then(|len| self.offset.checked_add(len));
        end.ok_or(TaskError::OutputTooLarge)
    }
}

impl Tasks {
    /// Adds a chunk at the end of the output, and renews the lease. A chunk that was stored before
    /// only renews the lease.
    pub async fn write_output(
        &self,
        lease: &LeaseClaim,
        chunk: OutputChunk<'_>,
    ) -> Result<OutputAck, TaskError> {
        let mut transaction = self.pool.begin().await?;
        let row = row::lock(&mut transaction, lease.at()).await?;
        let mut row = row.ok_or_else(|| TaskError::Unknown(lease.task.clone()))?;
        lease.check(&row)?;
        let end = chunk.end()?;
        let is_new = chunk.offset == row.output_bytes;
        if is_new && end > MOST_BYTES {
            return Err(TaskError::OutputTooLarge);
        }
        if is_new {
            insert(&mut transaction, lease, chunk).await?;
            row.output_bytes = end;
        } else if !is_stored(&mut transaction, lease, chunk).await? {
            return Err(TaskError::WrongOffset(row.output_bytes));
        }
        let lease_until = renew(&mut transaction, lease, row.output_bytes).await?;
        transaction.commit().await?;
        if is_new {
            self.notices.changed(&lease.broker, &lease.task);
        }
        Ok(OutputAck {
            offset: row.output_bytes,
            cancel: row.state == TaskState::Cancelling,
            lease_until,
        })
    }
}

async fn insert(
    connection: &mut PgConnection,
    lease: &LeaseClaim,
    chunk: OutputChunk<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into porchlight.task_output (broker_id, task_id, attempt, at_byte, chunk)
         values ($1, $2, $3, $4, $5)",
        lease.broker.as_str(),
        lease.task.as_str(),
        lease.fence,
        chunk.offset,
        chunk.text,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whether exactly this text is stored at this offset.
async fn is_stored(
    connection: &mut PgConnection,
    lease: &LeaseClaim,
    chunk: OutputChunk<'_>,
) -> sqlx::Result<bool> {
    let found = sqlx::query!(
        r#"select min(at_byte) as first, string_agg(chunk, '' order by at_byte) as text
           from porchlight.task_output
           where broker_id = $1 and task_id = $2 and attempt = $3 and at_byte < $4::integer + $5::integer
               and at_byte >= coalesce((
                   select max(at_byte) from porchlight.task_output
                   where broker_id = $1 and task_id = $2 and attempt = $3 and at_byte <= $4), 0)"#,
        lease.broker.as_str(),
        lease.task.as_str(),
        lease.fence,
        chunk.offset,
        i32::try_from(chunk.text.len()).unwrap_or(i32::MAX),
    )
    .fetch_one(connection)
    .await?;
    let (Some(first), Some(stored)) = (found.first, found.text) else {
        return Ok(false);
    };
    let skipped = usize::try_from(chunk.offset - first).unwrap_or(usize::MAX);
    let rest = stored.as_bytes().get(skipped..);
    Ok(rest.is_some_and(|rest| rest.starts_with(chunk.text.as_bytes())))
}

async fn renew(
    connection: &mut PgConnection,
    lease: &LeaseClaim,
    output_bytes: i32,
) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(
        r#"update porchlight.tasks set output_bytes = $3,
               lease_until = clock_timestamp() + make_interval(secs => lease_seconds)
           where broker_id = $1 and id = $2 returning lease_until as "lease_until!""#,
        lease.broker.as_str(),
        lease.task.as_str(),
        output_bytes,
    )
    .fetch_one(connection)
    .await
}

/// Removes the output of earlier attempts.
pub(super) async fn remove_old(
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
