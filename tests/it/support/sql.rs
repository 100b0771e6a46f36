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
