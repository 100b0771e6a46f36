//! `check_fence` in the CRM's own transactions.

use serde_json::json;
use sqlx::postgres::PgDatabaseError;
use sqlx::{Connection, Executor, PgConnection};

use super::{RECORD, admin, agent, end_every_lease, lock, post_lock, two, until_counted};

async fn check(connection: &mut PgConnection, fence: i64) -> sqlx::Result<()> {
    let sql = "select porchlight.check_fence('b', 'escrows', 'e-1', $1)";
    sqlx::query(sql)
        .bind(fence)
        .execute(connection)
        .await
        .map(drop)
}

/// What a stale writer is refused with.
fn refusal(outcome: sqlx::Result<()>) -> (String, String) {
    let error = outcome.expect_err("a refusal").into_database_error();
    let error = error.expect("of the database");
    let error = error.downcast_ref::<PgDatabaseError>();
    assert_eq!(error.code(), "PLF01", "{error}");
    assert!(error.hint().is_some());
    let detail = error.detail().unwrap_or_default();
    (error.message().to_owned(), detail.to_owned())
}

#[tokio::test]
async fn a_holder_paused_beyond_its_lease_cannot_write_with_its_old_fence() {
    let [a, b] = &two(&[]).await;
    let mut crm = a.database.connect().await;
    crm.execute("create table escrows (id text, price int); insert into escrows values ('e-1', 1)")
        .await
        .unwrap();
    let (_, detail) = refusal(check(&mut crm, 0).await);
    assert_eq!(detail, "nobody holds it");
    assert_eq!(
        lock(a, &agent("ann"), RECORD, "tab").await.json()["fence"],
        1
    );
    check(&mut crm, 1).await.expect("the fence holds");
    // The holder sleeps; somebody else has the lock, and writes.
    end_every_lease(&mut crm).await;
    assert_eq!(
        lock(b, &agent("bob"), RECORD, "tab").await.json()["fence"],
        2
    );
    let mut transaction = crm.begin().await.unwrap();
    check(&mut transaction, 2).await.expect("the fence holds");
    let write = "update escrows set price = 2";
    transaction.execute(write).await.unwrap();
    transaction.commit().await.unwrap();
    // It wakes up, and knows nothing.
    let mut transaction = crm.begin().await.unwrap();
    let (message, detail) = refusal(check(&mut transaction, 1).await);
    assert_eq!(message, "the lock on escrows/e-1 is not held with fence 1");
    assert!(
        detail.starts_with("bob holds it with fence 2 until "),
        "{detail}"
    );
    assert!(
        transaction
            .execute("update escrows set price = 3")
            .await
            .is_err()
    );
    drop(transaction);
    // A renewal does not bring it back.
    let body = json!({"session": "tab"});
    post_lock(a, &agent("ann"), "e-1/renew", body)
        .await
        .refused(409, "locked", "a late renewal");
    let price: i32 = sqlx::query_scalar("select price from escrows")
        .fetch_one(&mut crm)
        .await
        .unwrap();
    assert_eq!(price, 2);
    for nonsense in [-1, 0, 3, i64::MAX] {
        refusal(check(&mut crm, nonsense).await);
    }
}

#[tokio::test]
async fn a_lease_that_is_over_does_not_hold_even_if_nobody_has_noticed() {
    let [a, _] = &two(&[]).await;
    let mut crm = a.database.connect().await;
    lock(a, &agent("ann"), RECORD, "tab").await;
    let mut transaction = crm.begin().await.unwrap();
    end_every_lease(&mut transaction).await;
    // Nobody else sees the end yet.
    let (_, detail) = refusal(check(&mut transaction, 1).await);
    assert!(
        detail.starts_with("the lease of ann with fence 1 was over at "),
        "{detail}"
    );
}

#[tokio::test]
async fn a_takeover_waits_for_a_transaction_that_has_checked_its_fence_and_a_renewal_does_not() {
    let [a, b] = &two(&[]).await;
    let (ann, boss) = (agent("ann"), admin(&["a"]));
    lock(a, &ann, RECORD, "tab").await;
    let (mut crm, mut beside) = (a.database.connect().await, a.database.connect().await);
    let mut transaction = crm.begin().await.unwrap();
    check(&mut transaction, 1).await.expect("the fence holds");
    // The holder goes on as if nothing was.
    let body = json!({"session": "tab"});
    assert_eq!(
        post_lock(b, &ann, "e-1/renew", body.clone()).await.status,
        200
    );
    assert_eq!(lock(b, &ann, RECORD, "phone").await.status, 200);
    assert_eq!(
        post_lock(b, &agent("bob"), "e-1/request", json!({}))
            .await
            .status,
        202
    );
    let taking = post_lock(b, &boss, "e-1/takeover", body.clone());
    let writing = async {
        let sql = "select count(*) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'";
        until_counted(&mut beside, sql, 1).await;
        transaction.commit().await.unwrap();
    };
    let (taken, ()) = tokio::join!(taking, writing);
    assert_eq!((taken.status, &taken.json()["fence"]), (201, &json!(2)));
    refusal(check(&mut crm, 1).await);
    // One that takes too long is not waited for; nothing has changed then.
    let mut transaction = crm.begin().await.unwrap();
    check(&mut transaction, 2).await.expect("the fence holds");
    lock(a, &boss, RECORD, "tab").await;
    let other = crate::support::Token {
        user: "chief".to_owned(),
        ..admin(&["a"])
    };
    let refused = post_lock(a, &other, "e-1/takeover", body).await;
    refused.refused(503, "busy", "a takeover that waited in vain");
    assert_eq!(refused.header("retry-after"), "1");
    check(&mut transaction, 2).await.expect("the fence holds");
}

#[tokio::test]
async fn a_transaction_with_an_old_snapshot_is_not_fooled() {
    let [a, b] = &two(&[]).await;
    lock(a, &agent("ann"), RECORD, "tab").await;
    let mut crm = a.database.connect().await;
    for level in ["repeatable read", "serializable"] {
        let begin = format!("begin isolation level {level}; select count(*) from porchlight.locks");
        crm.execute(sqlx::AssertSqlSafe(begin)).await.unwrap();
        let body = json!({"session": "tab"});
        // Renewed after the snapshot was taken, then taken over.
        post_lock(a, &agent("ann"), "e-1/renew", body.clone()).await;
        assert_eq!(
            post_lock(b, &admin(&["a"]), "e-1/takeover", body)
                .await
                .status,
            201
        );
        assert!(check(&mut crm, 1).await.is_err(), "{level}");
        crm.execute("rollback").await.unwrap();
        super::unlock(b, &admin(&["a"]), RECORD).await;
        lock(a, &agent("ann"), RECORD, "tab").await;
        let mut beside = a.database.connect().await;
        let reset = "update porchlight.locks set fence = 1";
        beside.execute(reset).await.unwrap();
    }
}
