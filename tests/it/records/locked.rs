//! A record that somebody has locked cannot be written by others.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use super::{Call, agent, body, escrow, two};
use crate::support::{Answer, Service, Token, eventually};

/// Locks the record. Its first event may not have been read yet.
async fn lock(service: &Service, who: &Token) -> i64 {
    let wish = json!({"module": "escrows", "recordId": "e-1", "session": "tab-1"});
    let call = Call::by(service, who);
    eventually("the lock is granted", async || {
        let answer = call.send(Method::POST, "/locks", &wish).await;
        (answer.status != 503).then(|| body(&answer, 201)["fence"].as_i64().expect("a fence"))
    })
    .await
}

async fn unlock(service: &Service, who: &Token) {
    let path = "/locks/escrows/e-1";
    Call::by(service, who)
        .send(Method::DELETE, path, &Value::Null)
        .await;
}

/// Every way to change the record. The last one deletes it.
async fn every_change(call: Call<'_>) -> [Answer; 4] {
    [
        call.patch("escrows/e-1", &json!({"city": "x"})).await,
        call.put("escrows/e-1", "archive").await,
        call.put("escrows/e-1", "restore").await,
        call.delete("escrows/e-1").await,
    ]
}

#[tokio::test]
async fn others_are_refused_and_learn_who_holds_the_lock() {
    let [a, b] = two(&[]).await;
    let before = escrow(&a).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let fence = lock(&b, &ann).await;
    for wrong in [None, Some(fence + 1)] {
        let mut call = Call::by(&a, &bob);
        if let Some(wrong) = wrong {
            call = call.with("Lock-Fence", &wrong.to_string());
        }
        for answer in every_change(call).await {
            answer.refused(423, "locked", "held");
            let lock = answer.json()["lock"].clone();
            assert_eq!(
                (&lock["holder"]["userId"], &lock["fence"]),
                (&json!("ann"), &json!(fence))
            );
        }
    }
    // The record can be read, and other records can be written.
    assert_eq!(
        body(&Call::by(&a, &ann).get("escrows/e-1").await, 200),
        before
    );
    body(
        &Call::by(&a, &bob)
            .create("escrows", &json!({"address": "2"}))
            .await,
        201,
    );
}

#[tokio::test]
async fn the_holder_writes_with_the_fence_and_without() {
    let [a, b] = two(&[]).await;
    escrow(&a).await;
    let ann = agent("ann");
    let fence = lock(&b, &ann).await;
    body(
        &Call::by(&a, &ann)
            .patch("escrows/e-1", &json!({"city": "x"}))
            .await,
        200,
    );
    let statuses = every_change(Call::by(&a, &ann).with("Lock-Fence", &fence.to_string()));
    assert_eq!(
        statuses.await.map(|answer| answer.status),
        [200, 200, 200, 204]
    );
}

#[tokio::test]
async fn a_fence_of_before_writes_nothing_whoever_holds_the_lock_now() {
    let [a, b] = two(&[]).await;
    let before = escrow(&a).await;
    let ann = agent("ann");
    let old = lock(&b, &ann).await;
    unlock(&b, &ann).await;
    let refused = async |fence: i64| {
        for answer in every_change(Call::by(&a, &ann).with("Lock-Fence", &fence.to_string())).await
        {
            assert_eq!(
                answer.refused(423, "fence_lost", "old").as_deref(),
                Some("Lock-Fence")
            );
        }
    };
    refused(old).await;
    let new = lock(&b, &ann).await;
    assert!(new > old);
    refused(old).await;
    assert_eq!(
        body(&Call::by(&a, &ann).get("escrows/e-1").await, 200),
        before
    );
    // Nobody has ever locked this one.
    Call::by(&a, &ann)
        .create("escrows", &json!({"id": "e-2", "address": "2"}))
        .await;
    let never = Call::by(&a, &ann).with("Lock-Fence", "1");
    never
        .patch("escrows/e-2", &json!({"city": "x"}))
        .await
        .refused(423, "fence_lost", "never");
}

#[tokio::test]
async fn who_does_not_see_the_record_learns_nothing_of_its_lock() {
    let [a, _] = two(&[]).await;
    let mut sql = a.database.connect().await;
    escrow(&a).await;
    lock(&a, &agent("ann")).await;
    let stranger = Token::user("zoe", &["z"]);
    for answer in every_change(Call::by(&a, &stranger)).await {
        answer.refused(404, "unknown_record", "zoe");
        assert!(!answer.text.contains("ann"));
    }
    // A request for a record that does not exist leaves nothing behind either.
    Call::by(&a, &stranger)
        .patch("escrows/none", &json!({}))
        .await
        .refused(404, "unknown_record", "none");
    let rows: i64 = sqlx::query_scalar("select count(*) from porchlight.locks")
        .fetch_one(&mut sql)
        .await
        .expect("a count");
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_lock_is_granted_after_the_writes_that_began_before_it() {
    let [a, b] = two(&[]).await;
    let mut sql = a.database.connect().await;
    escrow(&a).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    // Somebody holds the row of the record, so that a write cannot end.
    let mut transaction = sql.begin().await.expect("a transaction");
    transaction
        .execute("select from porchlight.escrows for update")
        .await
        .expect("a row");
    let mut other = a.database.connect().await;
    let (written, granted) = tokio::join!(
        async {
            Call::by(&a, &bob)
                .patch("escrows/e-1", &json!({"city": "x"}))
                .await
        },
        async {
            let waiting = "select count(*) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'";
            super::until_counted(&mut other, waiting, 1).await;
            let (granted, ()) = tokio::join!(lock(&b, &ann), async {
                transaction.rollback().await.expect("an end");
            });
            granted
        }
    );
    assert_eq!(
        (body(&written, 200)["city"].clone(), granted),
        (json!("x"), 1)
    );
}

#[tokio::test]
async fn writes_of_one_record_wait_for_its_row_with_one_connection() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    escrow(&service).await;
    let bob = agent("bob");
    let mut transaction = sql.begin().await.expect("a transaction");
    transaction
        .execute("select from porchlight.escrows for update")
        .await
        .expect("a row");
    let mut other = service.database.connect().await;
    let patches = (0..8).map(|n| {
        let call = Call::by(&service, &bob);
        async move {
            call.patch("escrows/e-1", &json!({"city": n.to_string()}))
                .await
        }
    });
    let (written, most) = tokio::join!(join_all(patches), async {
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        super::until_counted(&mut other, waiting, 1).await;
        let mut most = 0;
        for _ in 0..20 {
            let count: i64 = sqlx::query_scalar(waiting)
                .fetch_one(&mut other)
                .await
                .expect("a count");
            most = most.max(count);
        }
        transaction.rollback().await.expect("an end");
        most
    });
    assert_eq!(most, 1);
    for answer in written {
        body(&answer, 200);
    }
}
