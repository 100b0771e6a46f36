//! Keys of publishers: a retry publishes nothing and gets the first answer again.

mod counted;
mod writes;

use std::sync::Arc;

use porchlight::identity::Role;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::cluster::TestDatabase;
use crate::support::instances::two;
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
    // With different bodies, one wins and the others are refused.
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

/// A POST with the key `k`: the status, the body, and whether the answer is an old one.
async fn asked(service: &Service, who: &Token, path: &str, body: &Value) -> (u16, Value, bool) {
    let request = service.client.post(service.url(path));
    let request = request.header("idempotency-key", "k").json(body);
    let answer = Answer::to(request.bearer_auth(who.signed())).await;
    let is_repeat = answer.header("idempotency-replayed") == "true";
    (answer.status, answer.json(), is_repeat)
}

#[tokio::test]
async fn callers_do_not_share_keys() {
    let service = Service::start().await;
    let note = |user: &str, title: &str| json!({"audience": {"user": user}, "level": "info", "title": title});
    let (ann, bob) = (Token::user("ann", &["a"]), Token::user("bob", &["a"]));
    let to_team = json!({"audience": {"team": "a"}, "level": "info", "title": "t"});
    let notes = "/notifications";
    let (status, first, is_repeat) = asked(&service, &ann, notes, &to_team).await;
    assert_eq!((status, is_repeat), (201, false), "{first}");
    // An agent's key is not in the service's way.
    let (status, _, is_repeat) =
        asked(&service, &Token::service("b"), "/events", &for_team("a", 1)).await;
    assert_eq!((status, is_repeat), (201, false));
    // A colleague who uses the same key with the same body has made a request of their own.
    let (status, second, is_repeat) = asked(&service, &bob, notes, &to_team).await;
    assert_eq!((status, is_repeat), (201, false));
    assert_ne!(first["id"], second["id"]);
    // Each gets their own answer again, and learns of their own other body only.
    for (who, made) in [(&ann, &first), (&bob, &second)] {
        assert_eq!(
            asked(&service, who, notes, &to_team).await,
            (201, made.clone(), true)
        );
        assert_eq!(
            asked(&service, who, notes, &note(&who.user, "t")).await.0,
            409
        );
    }
    // An agent who becomes an admin is the same person.
    let admin = ann.clone().in_role(Role::Admin);
    assert_eq!(
        asked(&service, &admin, notes, &to_team).await,
        (201, first, true)
    );
    // A service with the user id of an agent is another caller.
    let service_token = ann.in_role(Role::Service);
    let (status, third, is_repeat) = asked(&service, &service_token, notes, &to_team).await;
    assert_eq!((status, is_repeat), (201, false));
    assert_ne!(third["id"], second["id"]);
}

#[tokio::test]
async fn operations_do_not_share_keys() {
    let service = Service::start().await;
    let svc = Token::service("b");
    let event = for_team("a", 1);
    let note = json!({"audience": {"team": "a"}, "level": "info", "title": "t"});
    let task = json!({"type": "sum"});
    for (path, body, first) in [
        ("/events", &event, 201),
        ("/notifications", &note, 201),
        ("/tasks", &task, 201),
    ] {
        let (status, made, is_repeat) = asked(&service, &svc, path, body).await;
        assert_eq!((status, is_repeat), (first, false), "{path} {made}");
    }
    for (path, body) in [
        ("/events", &event),
        ("/notifications", &note),
        ("/tasks", &task),
    ] {
        let (status, made, is_repeat) = asked(&service, &svc, path, body).await;
        assert!(status < 300 && is_repeat, "{path} {status} {made}");
    }
}

#[tokio::test]
async fn a_service_and_an_agent_of_one_name_do_not_share_keys_of_tasks() {
    let service = Service::start().await;
    let agent = Token::user("ann", &[]);
    let backend = agent.clone().in_role(Role::Service);
    let (sum, count) = (json!({"type": "sum"}), json!({"type": "count"}));
    let (status, of_agent, _) = asked(&service, &agent, "/tasks", &sum).await;
    assert_eq!(status, 201);
    let (status, of_backend, _) = asked(&service, &backend, "/tasks", &count).await;
    assert_eq!(status, 201, "{of_backend}");
    let (status, again, is_repeat) = asked(&service, &agent, "/tasks", &sum).await;
    assert_eq!(
        (status, is_repeat, &again["id"]),
        (200, true, &of_agent["id"])
    );
    assert_eq!(asked(&service, &agent, "/tasks", &count).await.0, 409);
}

#[tokio::test]
async fn requests_of_two_callers_with_one_key_that_race_are_both_made() {
    let [a, b] = &two(&[]).await;
    let services: Vec<_> = (0..20)
        .map(|n| Token {
            role: Role::Service,
            ..Token::user(&format!("svc|{n}"), &[])
        })
        .collect();
    let body = for_team("a", 1);
    let racing = services
        .iter()
        .enumerate()
        .map(|(n, who)| asked(if n % 2 == 0 { a } else { b }, who, "/events", &body));
    let answers = futures_util::future::join_all(racing).await;
    assert!(
        answers
            .iter()
            .all(|(status, _, is_repeat)| *status == 201 && !is_repeat),
        "{answers:?}"
    );
    let listed = a.list("/events", &Token::user("u", &["a"])).await;
    assert_eq!(listed["events"].as_array().unwrap().len(), 20);
}
