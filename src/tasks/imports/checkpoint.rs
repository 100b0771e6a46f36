//! How far an import has come. All SQL of imports.

use sqlx::PgConnection;

use super::stop::Stop;
use super::text_output::RowFault;
use crate::platform::Pool;
use crate::tasks::LeaseClaim;

pub(super) const PAGE: i64 = 500;

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checkpoint {
    /// Rows that are done with.
    pub(super) next_row: i32,
    pub(super) created: i32,
    pub(super) bad: i32,
}

/// What a transaction has done with some rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Advance {
    pub(super) created: i32,
    pub(super) bad: i32,
}

/// Where an import goes on. One that does another one again begins where that ended.
pub(super) async fn begin(pool: &Pool, holding: &LeaseClaim) -> Result<Checkpoint, Stop> {
    let mut transaction = pool.begin().await?;
    holding.hold(&mut transaction).await?;
    inherit(&mut transaction, holding).await?;
    let found = sqlx::query_as!(
        Checkpoint,
        "select next_row, created, bad from porchlight.imports
         where broker_id = $1 and task_id = $2",
        holding.broker.as_str(),
        holding.task.as_str(),
    );
    let found = found.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(found)
}

async fn inherit(connection: &mut PgConnection, holding: &LeaseClaim) -> sqlx::Result<()> {
    sqlx::query!(
        r#"with mine as (
               insert into porchlight.imports (broker_id, task_id, next_row, created, bad)
               select t.broker_id, t.id, coalesce(i.next_row, 0), coalesce(i.created, 0),
                   coalesce(i.bad, 0)
               from porchlight.tasks t left join porchlight.imports i
                   on i.broker_id = t.broker_id and i.task_id = t.retry_of
               where t.broker_id = $1 and t.id = $2
               on conflict do nothing returning broker_id, task_id
           )
           insert into porchlight.import_faults (broker_id, task_id, line, "column", field, reason)
           select m.broker_id, m.task_id, f.line, f."column", f.field, f.reason
           from mine m
           join porchlight.tasks t on t.broker_id = m.broker_id and t.id = m.task_id
           join porchlight.import_faults f on f.broker_id = t.broker_id and f.task_id = t.retry_of
           order by f.n"#,
        holding.broker.as_str(),
        holding.task.as_str(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Moves on from `from`, in the transaction that has made the records. Who finds the import
/// elsewhere has lost it.
pub(super) async fn advance(
    connection: &mut PgConnection,
    holding: &LeaseClaim,
    (from, by): (i32, Advance),
    faults: &[RowFault],
) -> Result<(), Stop> {
    let moved = sqlx::query!(
        "update porchlight.imports
         set next_row = next_row + $4 + $5, created = created + $4, bad = bad + $5
         where broker_id = $1 and task_id = $2 and next_row = $3",
        holding.broker.as_str(),
        holding.task.as_str(),
        from,
        by.created,
        by.bad,
    );
    if moved.execute(&mut *connection).await?.rows_affected() != 1 {
        return Err(Stop::Lost);
    }
    if !faults.is_empty() {
        insert_faults(connection, holding, faults).await?;
    }
    Ok(())
}

async fn insert_faults(
    connection: &mut PgConnection,
    holding: &LeaseClaim,
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
        holding.broker.as_str(),
        holding.task.as_str(),
        &lines,
        &columns as &[Option<&str>],
        &fields as &[Option<&str>],
        &reasons as &[&str],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A page of what was wrong with rows, in their order, after the `n`th.
pub(super) async fn faults(
    pool: &Pool,
    holding: &LeaseClaim,
    after: i32,
) -> sqlx::Result<Vec<(i32, RowFault)>> {
    let rows = sqlx::query!(
        r#"select n as "n!", line, "column", field, reason from porchlight.import_faults
           where broker_id = $1 and task_id = $2 and n > $3 order by n limit $4"#,
        holding.broker.as_str(),
        holding.task.as_str(),
        after,
        PAGE,
    );
    let mut connection = pool.acquire().await?;
    let rows = rows.fetch_all(&mut *connection).await?;
    let rows = rows.into_iter().map(|row| {
        let fault = RowFault {
            line: row.line,
            column: row.column,
            field: row.field,
            reason: row.reason,
        };
        (row.n, fault)
    });
    Ok(rows.collect())
}
