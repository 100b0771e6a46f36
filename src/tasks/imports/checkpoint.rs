//! The progress of an import in the database. All SQL of imports is here.

use sqlx::PgConnection;

use super::stop::Stop;
use super::summary::RowFault;
use crate::platform::Pool;
use crate::tasks::LeaseClaim;

pub(super) const PAGE: i64 = 500;

/// The rows that are done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checkpoint {
    pub(super) next_row: i32,
    pub(super) created: i32,
    pub(super) bad: i32,
}

/// The rows that a transaction has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Advance {
    /// The first of them.
    pub(super) from: i32,
    pub(super) created: i32,
    pub(super) bad: i32,
}

/// Where an import continues. A retry begins where the last import before it that had begun has ended.
pub(super) async fn begin(pool: &Pool, lease: &LeaseClaim) -> Result<Checkpoint, Stop> {
    let mut transaction = pool.begin().await?;
    lease.lock(&mut transaction).await?;
    inherit(&mut transaction, lease).await?;
    let found = sqlx::query_as!(
        Checkpoint,
        "select next_row, created, bad from porchlight.imports
         where broker_id = $1 and task_id = $2",
        lease.broker.as_str(),
        lease.task.as_str(),
    );
    let found = found.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(found)
}

/// Retries that were cancelled in the queue have no checkpoint, and are passed over.
async fn inherit(connection: &mut PgConnection, lease: &LeaseClaim) -> sqlx::Result<()> {
    sqlx::query!(
        r#"with recursive retries as (
               select broker_id, id, retry_of from porchlight.tasks where broker_id = $1 and id = $2
               union all
               select t.broker_id, t.id, t.retry_of from retries r
               join porchlight.tasks t on t.broker_id = $1 and t.id = r.retry_of
               where not exists (select from porchlight.imports i
                   where i.broker_id = $1 and i.task_id = r.id)
           ), last as (
               select i.* from retries r
               join porchlight.imports i on i.broker_id = $1 and i.task_id = r.id
               where r.broker_id = $1
           ), mine as (
               insert into porchlight.imports (broker_id, task_id, next_row, created, bad)
               select $1, $2, coalesce(max(next_row), 0), coalesce(max(created), 0),
                   coalesce(max(bad), 0)
               from last
               on conflict do nothing returning broker_id, task_id
           )
           insert into porchlight.import_faults (broker_id, task_id, line, "column", field, reason)
           select m.broker_id, m.task_id, f.line, f."column", f.field, f.reason
           from mine m cross join last l
           join porchlight.import_faults f on f.broker_id = $1 and f.task_id = l.task_id
           order by f.n"#,
        lease.broker.as_str(),
        lease.task.as_str(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Advances the checkpoint in the transaction that creates the records. A checkpoint at another row
/// means that the lease is lost.
pub(super) async fn advance(
    connection: &mut PgConnection,
    lease: &LeaseClaim,
    advance: Advance,
    faults: &[RowFault],
) -> Result<(), Stop> {
    let moved = sqlx::query!(
        "update porchlight.imports
         set next_row = next_row + $4 + $5, created = created + $4, bad = bad + $5
         where broker_id = $1 and task_id = $2 and next_row = $3",
        lease.broker.as_str(),
        lease.task.as_str(),
        advance.from,
        advance.created,
        advance.bad,
    );
    if moved.execute(&mut *connection).await?.rows_affected() != 1 {
        return Err(Stop::Lost);
    }
    if !faults.is_empty() {
        insert_faults(connection, lease, faults).await?;
    }
    Ok(())
}

async fn insert_faults(
    connection: &mut PgConnection,
    lease: &LeaseClaim,
    faults: &[RowFault],
) -> sqlx::Result<()> {
    let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
    let columns: Vec<_> = faults.iter().map(|fault| fault.column.as_deref()).collect();
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_deref()).collect();
    let reasons: Vec<_> = faults.iter().map(|fault| &*fault.reason).collect();
    sqlx::query!(
        r#"insert into porchlight.import_faults
               (broker_id, task_id, line, "column", field, reason)
           select $1, $2, f.* from unnest($3::integer[], $4::text[], $5::text[], $6::text[])
               as f(line, "column", field, reason)"#,
        lease.broker.as_str(),
        lease.task.as_str(),
        &lines,
        &columns as &[Option<&str>],
        &fields as &[Option<&str>],
        &reasons as &[&str],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A fault, and its number in the order of faults.
pub(super) struct StoredFault {
    pub(super) n: i32,
    pub(super) fault: RowFault,
}

/// A page of faults after the `after`th, in their order.
pub(super) async fn faults(
    pool: &Pool,
    lease: &LeaseClaim,
    after: i32,
) -> sqlx::Result<Vec<StoredFault>> {
    let rows = sqlx::query!(
        r#"select n as "n!", line, "column", field, reason from porchlight.import_faults
           where broker_id = $1 and task_id = $2 and n > $3 order by n limit $4"#,
        lease.broker.as_str(),
        lease.task.as_str(),
        after,
        PAGE,
    );
    let mut connection = pool.acquire().await?;
    let rows = rows.fetch_all(&mut *connection).await?;
    let faults = rows.into_iter().map(|row| StoredFault {
        n: row.n,
        fault: RowFault {
            line: row.line,
            column: row.column,
            field: row.field,
            reason: row.reason,
        },
    });
    Ok(faults.collect())
}
