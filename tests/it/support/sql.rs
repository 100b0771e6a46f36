//! Statements beside the service.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::wait::soon;

/// Runs statements, which must succeed.
pub async fn run(connection: &mut PgConnection, sql: &str) {
    let outcome = connection.execute(AssertSqlSafe(sql.to_owned())).await;
    if let Err(error) = outcome {
        panic!("{sql}: {error}");
    }
}

/// Waits until this is what the database counts.
pub async fn until_counted(connection: &mut PgConnection, sql: &'static str, expected: i64) {
    let counted = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        loop {
            looks.tick().await;
            let count = sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *connection);
            if count.await.expect("a count") == expected {
                return;
            }
        }
    };
    soon(sql, counted).await;
}

/// The transactions of the database so far. Postgres reports those of a connection at most once a second.
pub async fn transactions(sql: &mut PgConnection) -> i64 {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let query = "select xact_commit + xact_rollback from pg_stat_database
        where datname = current_database()";
    let count = sqlx::query_scalar(query).fetch_one(sql).await;
    count.expect("a number")
}

/// Lets writes wait in a trigger on `of`, such as `insert on public.leads for each statement`, until `free_writes`. The
/// service waits for a statement ten times longer than for a lock.
pub async fn hold_writes(connection: &mut PgConnection, of: &str) {
    let sql = format!(
        "create table public.holds as select 1; create sequence public.held;
        create function public.hold() returns trigger language plpgsql as $$ begin
            perform nextval('public.held');
            while exists (select from public.holds) loop
                perform pg_sleep(0.01);
            end loop;
            return new;
        end $$;
        create trigger hold before {of} execute function public.hold()"
    );
    run(connection, &sql).await;
}

/// Waits until a write waits.
pub async fn until_held(connection: &mut PgConnection) {
    // A sequence counts what is not committed, too.
    let held = "select is_called::integer::bigint from public.held";
    until_counted(connection, held, 1).await;
}

pub async fn free_writes(connection: &mut PgConnection) {
    run(connection, "delete from public.holds").await;
}

/// Lets inserts into a table fail like those that wait for a lock for too long, until the function `public.fail` is
/// dropped.
pub async fn fail_inserts(connection: &mut PgConnection, table: &str) {
    let sql = format!(
        "create sequence public.failures;
        create function public.fail() returns trigger language plpgsql as $$ begin
            perform nextval('public.failures');
            raise exception 'locked' using errcode = 'lock_not_available';
        end $$;
        create trigger fail before insert on {table} execute function public.fail()"
    );
    run(connection, &sql).await;
}

/// Waits until such an insert has failed.
pub async fn until_failed(connection: &mut PgConnection) {
    // A sequence counts what is rolled back, too.
    let failed = "select is_called::integer::bigint from public.failures";
    until_counted(connection, failed, 1).await;
}
