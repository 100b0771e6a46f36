//! The connections that background tasks hand on to each other.

use porchlight::platform::{DedicatedConnection, Pool, Transaction};
use sqlx::PgConnection;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Barrier;

use crate::support::cluster::TestDatabase;
use crate::support::sql::run;

async fn pool(database: &TestDatabase, most: u32) -> Pool {
    let options = PgPoolOptions::new().max_connections(most);
    let pool = options.connect(&database.url()).await;
    pool.expect("a connection").into()
}

/// The number of the server's process.
async fn backend(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(connection)
        .await
}

#[tokio::test]
async fn tasks_hand_a_connection_on_without_returning_it() {
    let database = TestDatabase::create().await;
    let pool = pool(&database, 4).await;
    let mut tasks = [0; 3].map(|_| DedicatedConnection::new(pool.clone()));
    let mut backends = Vec::new();
    for task in &mut tasks {
        backends.push(task.run(backend).await.expect("a number"));
        assert_eq!(pool.figures().idle, 0);
    }
    backends.dedup();
    assert_eq!(backends.len(), 1, "{backends:?}");
}

#[tokio::test]
async fn whoever_waits_gets_the_last_connection_of_the_tasks() {
    let database = TestDatabase::create().await;
    let pool = pool(&database, 1).await;
    let mut task = DedicatedConnection::new(pool.clone());
    let handed_on = task.run(backend).await.expect("a number");
    let mut request = pool.acquire().await.expect("a connection");
    assert_eq!(backend(&mut request).await.expect("a number"), handed_on);
    let mut other = DedicatedConnection::new(pool.clone());
    let (waited, ()) = tokio::join!(other.run(backend), async { drop(request) });
    assert_eq!(waited.expect("a number"), handed_on);
}

#[tokio::test]
async fn a_transaction_that_was_dropped_is_rolled_back_at_once() {
    let database = TestDatabase::create().await;
    let mut sql = database.connect().await;
    run(
        &mut sql,
        "create table public.counts (n int); insert into public.counts values (0)",
    )
    .await;
    let pool = pool(&database, 4).await;
    let mut task = DedicatedConnection::new(pool);
    let begun = task.run(async |connection: &mut PgConnection| {
        let mut transaction = Transaction::begin(connection).await?;
        run(&mut transaction, "update public.counts set n = 7").await;
        Ok(())
    });
    begun.await.expect("an update");
    // It would wait for the row.
    run(
        &mut sql,
        "set lock_timeout = '5s'; update public.counts set n = n + 1",
    )
    .await;
    let counted = sqlx::query_scalar::<_, i32>("select n from public.counts");
    assert_eq!(counted.fetch_one(&mut sql).await.expect("a number"), 1);
}

#[tokio::test]
async fn of_connections_that_were_closed_one_at_most_is_used_untested() {
    let database = TestDatabase::create().await;
    let mut sql = database.connect().await;
    let pool = pool(&database, 4).await;
    let (mut one, mut other) = (
        DedicatedConnection::new(pool.clone()),
        DedicatedConnection::new(pool.clone()),
    );
    let both_work = Barrier::new(2);
    let work = async |connection: &mut PgConnection| {
        both_work.wait().await;
        backend(connection).await
    };
    let (one, other) = tokio::join!(one.run(work), other.run(work));
    let before = [one.expect("a number"), other.expect("a number")];
    assert_ne!(before[0], before[1]);
    close_all(&mut sql).await;
    let mut third = DedicatedConnection::new(pool.clone());
    third.run(backend).await.expect_err("it was closed");
    // From now on the pool tests each one.
    for _ in 0..2 {
        let mut task = DedicatedConnection::new(pool.clone());
        task.run(backend).await.expect("a number");
        close_all(&mut sql).await;
    }
}

async fn close_all(sql: &mut PgConnection) {
    run(
        sql,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .await;
}
