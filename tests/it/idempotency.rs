//! Keys of publishers: a retry publishes nothing and gets the first answer again.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::cluster::TestDatabase;
use crate::support::{Answer, Service, Token, for_team};

/// Publishes with a key; the status, the positions, and whether they are old.
async fn keyed(service: &Service, broker: &str, key: &str, body: &Value) -> (u16, Value, bool) {
    let request = service
        .client
        .post(service.url("/events"))
        .header("idempotency-key", key);
    let request = request
        .bearer_auth(Token::service(broker).signed())
        .json(body);
    let answer = Answer::to(request).await;
    if answer.status == 409 {
        let field = answer.refused(409, "idempotency_key_reused", key);
        assert_eq!(field.as_deref(), Some("Idempotency-Key"));
    }
    let is_repeat = answer.header("idempotency-replayed") == "true";
    (answer.status, answer.json()["positions"].clone(), is_repeat)
}

#[tokio::test]
async fn a_key_makes_a_retry_safe() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &[]).await;
    let (body, other) = (
        json!({"events": [for_team("a", 1), for_team("a", 2)]}),
        for_team("a", 3),
    );
    let (status, positions, is_repeat) = keyed(&service, "b", "k", &body).await;
    assert_eq!((status, is_repeat), (201, false));
    for _ in 0..3 {
        assert_eq!(
            keyed(&service, "b", "k", &body).await,
            (201, positions.clone(), true)
        );
    }
    assert_eq!(keyed(&service, "b", "k", &other).await.0, 409);
    // Another broker has keys of its own, and a key's letters all count.
    assert_eq!(keyed(&service, "c", "k", &other).await.0, 201);
    for (key, is_repeat) in [("K", false), ("K", true), ("k2", false)] {
        let (status, _, repeated) = keyed(&service, "b", key, &body).await;
        assert_eq!((status, repeated), (201, is_repeat), "{key}");
    }
    // Another process knows it too.
    service.stop().await;
    let service = Service::on(database, &[]).await;
    assert_eq!(
        keyed(&service, "b", "k", &body).await,
        (201, positions, true)
    );
    let listed = service.list("/events", &Token::user("u", &["a"])).await;
    assert_eq!(listed["events"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up() {
    let service = Service::start().await;
    let bad = json!({"type": "hb", "audience": {"team": "a"}});
    assert_eq!(keyed(&service, "b", "k", &bad).await.0, 400);
    assert_eq!(keyed(&service, "b", "k", &for_team("a", 1)).await.0, 201);
}

#[tokio::test]
async fn requests_that_race_with_one_key_publish_once() {
    let database = Arc::new(TestDatabase::create().await);
    let services = [
        Service::on(Arc::clone(&database), &[]).await,
        Service::on(database, &[]).await,
    ];
    let body = for_team("a", 1);
    let racing = (0..20).map(|n| keyed(&services[n % 2], "b", "k", &body));
    let answers = futures_util::future::join_all(racing).await;
    let first = answers
        .iter()
        .filter(|(_, _, is_repeat)| !is_repeat)
        .count();
    assert_eq!(first, 1, "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|(status, positions, _)| *status == 201 && *positions == answers[0].1)
    );
    let listed = services[0].list("/events", &Token::user("u", &["a"])).await;
    assert_eq!(listed["events"].as_array().unwrap().len(), 1);
    // With different bodies, one wins and the others are told.
    let bodies: Vec<_> = (0..20).map(|n| for_team("a", 10 + n)).collect();
    let racing = bodies
        .iter()
        .enumerate()
        .map(|(n, body)| keyed(&services[n % 2], "b", "k3", body));
    let answers = futures_util::future::join_all(racing).await;
    let statuses: Vec<_> = answers.iter().map(|(status, ..)| *status).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 409).count(),
        19,
        "{statuses:?}"
    );
}

#[tokio::test]
async fn a_key_is_free_again_after_a_day() {
    let service = Service::start().await;
    let (_, first, _) = keyed(&service, "b", "k", &for_team("a", 1)).await;
    let mut database = service.database.connect().await;
    let age = async |database: &mut sqlx::PgConnection, hours: i32| {
        let later = format!(
            "update porchlight.idempotency_keys set created_at = created_at - interval '{hours} hours'"
        );
        database
            .execute(sqlx::AssertSqlSafe(later))
            .await
            .expect("aged");
    };
    age(&mut database, 23).await;
    assert_eq!(
        keyed(&service, "b", "k", &for_team("a", 1)).await,
        (201, first, true)
    );
    age(&mut database, 2).await;
    let (status, second, is_repeat) = keyed(&service, "b", "k", &for_team("a", 2)).await;
    assert_eq!((status, is_repeat), (201, false));
    assert_eq!(
        keyed(&service, "b", "k", &for_team("a", 2)).await,
        (201, second, true)
    );
    assert_eq!(keyed(&service, "b", "k", &for_team("a", 1)).await.0, 409);
}
