//! The databases of the tests themselves: none stays behind.

use std::panic::{catch_unwind, resume_unwind};

use crate::support::Service;
use crate::support::cluster::TestDatabase;

#[tokio::test]
async fn a_test_database_is_dropped_when_its_test_ends() {
    let service = Service::start().await;
    let name = service.database.name().to_owned();
    drop(service);
    TestDatabase::gone(&name).await;
}

#[tokio::test]
async fn a_test_database_is_dropped_after_a_panic() {
    let database = TestDatabase::create().await;
    let name = database.name().to_owned();
    let outcome = catch_unwind(move || {
        let _database = database;
        // Without a message in the test's output.
        resume_unwind(Box::new("a failed assertion"));
    });
    assert!(outcome.is_err());
    TestDatabase::gone(&name).await;
}

#[tokio::test]
async fn a_test_database_that_is_still_used_delays_no_other_and_is_dropped_too() {
    let used = TestDatabase::create().await;
    let name = used.name().to_owned();
    let mut connection = used.connect().await;
    drop(used);
    let other = TestDatabase::create().await;
    let other_name = other.name().to_owned();
    drop(other);
    TestDatabase::gone(&other_name).await;
    let answer = sqlx::query_scalar::<_, i32>("select 1").fetch_one(&mut connection);
    assert_eq!(answer.await.expect("it is still connected"), 1);
    TestDatabase::gone(&name).await;
    let answer = sqlx::query_scalar::<_, i32>("select 1").fetch_one(&mut connection);
    answer.await.expect_err("its database is gone");
}
