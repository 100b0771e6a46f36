//! A single connection that falls silent, and its place in the pool.

use std::time::Duration;

use porchlight::platform::database::limited;
use porchlight::platform::{Database, DedicatedConnection, Limit, Pool};
use porchlight::platform::{DatabaseSettings, QuotaSettings};
use sqlx::PgConnection;
use sqlx::postgres::PgPoolOptions;

use crate::support::Proxy;
use crate::support::cluster::TestDatabase;

const SHORT: Limit = Limit {
    longest: Duration::from_millis(500),
    suspect: Duration::from_millis(500),
};

/// A pool of one connection, through a proxy.
async fn pool_of_one() -> (TestDatabase, Proxy, Pool) {
    let database = TestDatabase::create().await;
    let proxy = Proxy::before(&database).await;
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect_lazy(proxy.url()).expect("an address");
    (database, proxy, pool.into())
}

async fn ask(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::query_scalar("select 7").fetch_one(connection).await
}

fn is_timeout<T>(outcome: &sqlx::Result<T>) -> bool {
    let Err(sqlx::Error::Io(error)) = outcome else {
        return false;
    };
    error.kind() == std::io::ErrorKind::TimedOut
}

#[tokio::test]
async fn a_task_closes_its_silent_connection_and_goes_on_with_another() {
    let (_database, proxy, pool) = pool_of_one().await;
    let mut database = DedicatedConnection::new(pool);
    assert_eq!(database.run(ask).await.expect("an answer"), 7);
    assert_eq!(database.run(ask).await.expect("an answer"), 7);
    assert_eq!(proxy.opened(), 1);
    proxy.silence();
    let unanswered = database.run_within(SHORT, ask).await;
    assert!(is_timeout(&unanswered), "{unanswered:?}");
    assert_eq!(database.run(ask).await.expect("an answer"), 7);
    assert_eq!(proxy.opened(), 2);
}

#[tokio::test]
async fn a_task_that_has_rested_asks_first_and_notices_silence() {
    let (_database, proxy, pool) = pool_of_one().await;
    let mut database = DedicatedConnection::new(pool);
    // It keeps the connection of the second use, which comes soon after the first.
    for _ in 0..2 {
        database.run(ask).await.expect("an answer");
    }
    proxy.silence();
    // It tests a connection that was idle for a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(database.run(ask).await.expect("an answer"), 7);
    assert_eq!(proxy.opened(), 2);
}

#[tokio::test]
async fn a_transaction_on_a_silent_connection_gives_its_place_back() {
    let (_database, proxy, pool) = pool_of_one().await;
    let unanswered = limited(SHORT, async {
        let mut transaction = pool.begin().await?;
        ask(&mut transaction).await?;
        proxy.silence();
        ask(&mut transaction).await
    });
    let unanswered = unanswered.await;
    assert!(is_timeout(&unanswered), "{unanswered:?}");
    let mut connection = pool.acquire().await.expect("a connection");
    assert_eq!(ask(&mut connection).await.expect("an answer"), 7);
}

#[tokio::test]
async fn who_waits_for_a_connection_that_falls_silent_gets_another() {
    let (_database, proxy, pool) = pool_of_one().await;
    let holds = limited(SHORT, async {
        let mut connection = pool.acquire().await?;
        proxy.silence();
        ask(&mut connection).await
    });
    let waits = async {
        let mut connection = pool.acquire().await?;
        ask(&mut connection).await
    };
    let (unanswered, answered) = tokio::join!(holds, waits);
    assert!(is_timeout(&unanswered), "{unanswered:?}");
    assert_eq!(answered.expect("an answer"), 7);
}

#[tokio::test]
async fn the_server_looks_for_instances_that_have_vanished() {
    let test_database = TestDatabase::create().await;
    let settings = DatabaseSettings {
        database_url: Some(test_database.url()),
        data_dir: None,
        pg_bin_dir: None,
        database_connections: 2,
        broker_connections_percent: 100,
        poll_ms: 1_000,
        relay_poll_ms: 40,
    };
    let database = Database::open(&settings, &QuotaSettings::default())
        .await
        .expect("a database");
    let mut connection = database.pool.acquire().await.expect("a connection");
    let sql = "select current_setting('client_connection_check_interval') || ' ' ||
                   current_setting('idle_in_transaction_session_timeout')";
    let shown = sqlx::query_scalar(sql).fetch_one(&mut *connection).await;
    let shown: String = shown.expect("settings");
    assert_eq!(shown, "5s 5s");
    let debugged = format!("{:?}", database.pool);
    assert!(!debugged.contains("postgres"), "{debugged}");
}
