//! Connections that background tasks keep while they use them often.

use porchlight::platform::{DedicatedConnection, Transaction};
use sqlx::{Executor, PgConnection};

use crate::support::cluster::TestDatabase;
use crate::support::sql::run;

/// Begins a transaction with a lock, and leaves it open after `last`.
async fn leave_open(connection: &mut PgConnection, last: &'static str) -> sqlx::Result<()> {
    let mut transaction = Transaction::begin(connection).await?;
    let lock = "select pg_advisory_xact_lock(1)";
    (*transaction).execute(lock).await?;
    (*transaction).execute(last).await.map(drop)
}

#[tokio::test]
async fn a_transaction_that_work_has_left_open_ends_at_once() {
    let database = TestDatabase::create().await;
    let opened = database.open().await;
    let mut dedicated = DedicatedConnection::new(opened.core.clone());
    let mut other = database.connect().await;
    run(&mut other, "set lock_timeout = '3s'").await;
    for (last, succeeds) in [("select 1", true), ("select 1 / 0", false)] {
        // The next use comes soon, so the connection is kept after it.
        let used = dedicated.run(async |connection| connection.execute("select 1").await);
        used.await.expect("an answer");
        let left = dedicated.run(async |connection| leave_open(connection, last).await);
        assert_eq!(left.await.is_ok(), succeeds, "{last}");
        let lock = "select pg_advisory_lock(1); select pg_advisory_unlock(1)";
        run(&mut other, lock).await;
    }
}
