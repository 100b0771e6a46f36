//! Locks on records: one holder at a time, published to all that may know, on the database's clock.

mod asking;
mod expiry;
mod fence;
mod invalid_input;
mod race;
mod resets;
mod rows;
mod seeing;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Executor, PgConnection};

use crate::support::instances::two;
use crate::support::people::{admin, agent};
use crate::support::requests::send;
use crate::support::sql::until_counted;
use crate::support::{Answer, Service, Stream, Token};

/// A record without events.
const RECORD: &str = "e-1";

/// `POST /locks`.
async fn lock(service: &Service, who: &Token, record: &str, session: &str) -> Answer {
    let body = json!({"module": "escrows", "recordId": record, "session": session});
    send(service, who, Method::POST, "/locks", &body).await
}

/// `POST` to a path of a lock on an escrow.
async fn post_lock(service: &Service, who: &Token, what: &str, body: Value) -> Answer {
    let path = format!("/locks/escrows/{what}");
    send(service, who, Method::POST, &path, &body).await
}

/// `DELETE` of a lock on an escrow.
async fn unlock(service: &Service, who: &Token, what: &str) -> Answer {
    let path = format!("/locks/escrows/{what}");
    send(service, who, Method::DELETE, &path, &Value::Null).await
}

/// The locks that a user sees.
async fn locks(service: &Service, who: &Token, query: &str) -> Vec<Value> {
    let listed = service.list(&format!("/locks{query}"), who).await;
    listed["locks"].as_array().expect("a list").clone()
}

/// Makes every lease end now.
async fn end_every_lease(connection: &mut PgConnection) {
    let sql = "update porchlight.locks set locked_until = clock_timestamp(),
         renewed_at = renewed_at - interval '1 hour', sessions = (
             select jsonb_object_agg(key, value || '{\"until\":\"2020-01-01T00:00:00Z\"}')
             from jsonb_each(sessions))
         where user_id is not null";
    connection.execute(sql).await.expect("an update");
}

/// Publishes a marker, and gives what the streams received before it, in short.
async fn received_until_marker(service: &Service, streams: &mut [Stream]) -> Vec<Vec<String>> {
    let marker = json!({"type": "test:marker", "audience": {"team": "a"}});
    service.publish(&marker).await;
    let mut all = Vec::new();
    for stream in streams {
        let events = stream.logged_until("test:marker").await;
        let received = events.iter();
        let received = received.map(|event| in_short(&event.name, &event.json()["data"]));
        all.push(received.collect());
    }
    all
}

/// `escrow:unlocked expired u-1 3`.
fn in_short(name: &str, data: &Value) -> String {
    let reason = data["reason"].as_str();
    let holder = data["holder"]["userId"].as_str();
    let fence = data["fence"].as_i64().map(|fence| fence.to_string());
    let words = [Some(name), reason, holder, fence.as_deref()];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_lock_has_one_holder_and_a_conflict_says_who_it_is() {
    let [a, b] = &two(&[]).await;
    let mut streams = [
        a.stream("/stream", &agent("ann")).await,
        b.stream("/stream", &agent("bob")).await,
    ];
    let granted = lock(a, &agent("ann"), RECORD, "tab-1").await;
    assert_eq!(granted.status, 201, "{}", granted.text);
    let mut held = granted.json();
    assert_eq!(held["fence"], 1);
    assert_eq!(held["holder"], json!({"userId": "ann", "session": "tab-1"}));
    assert_eq!(
        (&held["module"], &held["recordId"]),
        (&json!("escrows"), &json!(RECORD))
    );
    assert_eq!(held["waiting"], 0);
    let refused = lock(b, &agent("bob"), RECORD, "tab-1").await;
    assert_eq!(refused.refused(409, "locked", "a conflict"), None);
    let problem = refused.json();
    assert_eq!(problem["lock"], held);
    let detail = problem["detail"].as_str().unwrap();
    for words in ["ann", held["lockedUntil"].as_str().unwrap(), "/request"] {
        assert!(detail.contains(words), "{detail}");
    }
    // Another record, and the same one at another broker, are other locks.
    assert_eq!(lock(b, &agent("bob"), "e-2", "tab-1").await.status, 201);
    let elsewhere = lock(b, &agent("bob").of("c"), RECORD, "tab-1").await;
    assert_eq!(
        (elsewhere.status, &elsewhere.json()["fence"]),
        (201, &json!(1))
    );
    let gone = unlock(b, &agent("ann"), "e-1?session=tab-1").await;
    assert_eq!((gone.status, &gone.text[..]), (204, ""));
    assert_eq!(gone.header("lock-fence"), "1");
    let next = lock(b, &agent("bob"), RECORD, "tab-1").await;
    assert_eq!((next.status, &next.json()["fence"]), (201, &json!(2)));
    for received in received_until_marker(a, &mut streams).await {
        let expected = [
            "escrow:locked ann 1",
            "escrow:locked bob 1",
            "escrow:unlocked released ann 1",
            "escrow:locked bob 2",
        ];
        assert_eq!(received, expected);
    }
    let first = &a
        .list("/events?types=escrow:locked&limit=1", &agent("ann"))
        .await["events"][0];
    assert_eq!(
        (&first["userId"], &first["recordId"]),
        (&json!("ann"), &json!(RECORD))
    );
    for field in ["module", "recordId", "waiting"] {
        held.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(first["data"], held);
}

#[tokio::test]
async fn the_holders_devices_share_the_lock_which_lasts_while_one_of_them_stays() {
    let [a, b] = &two(&[]).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let mut streams = [a.stream("/stream", &bob).await];
    assert_eq!(lock(a, &ann, RECORD, "phone").await.status, 201);
    // A retry, and another device.
    for (at, session) in [(a, "phone"), (b, "phone"), (b, "tab")] {
        let again = lock(at, &ann, RECORD, session).await;
        assert_eq!((again.status, &again.json()["fence"]), (200, &json!(1)));
        assert_eq!(again.json()["holder"]["session"], "phone");
    }
    assert_eq!(unlock(b, &ann, "e-1?session=phone").await.status, 204);
    assert_eq!(locks(a, &bob, "").await[0]["holder"]["session"], "tab");
    let gone = unlock(b, &ann, "e-1?session=phone").await;
    let field = gone.refused(404, "unknown_session", "a device that has left");
    assert_eq!(field.as_deref(), Some("session"));
    assert_eq!(lock(b, &bob, RECORD, "tab").await.status, 409);
    assert_eq!(unlock(a, &ann, "e-1?session=tab").await.status, 204);
    let expected = ["escrow:locked ann 1", "escrow:unlocked released ann 1"];
    assert_eq!(received_until_marker(b, &mut streams).await, [expected]);
    // Without a session's name, all devices release it.
    for session in ["phone", "tab"] {
        lock(a, &ann, RECORD, session).await;
    }
    assert_eq!(unlock(a, &ann, RECORD).await.status, 204);
    unlock(a, &ann, RECORD)
        .await
        .refused(404, "not_locked", "twice");
    assert_eq!(lock(b, &bob, RECORD, "tab").await.json()["fence"], 3);
}

#[tokio::test]
async fn renewing_moves_the_end_and_nothing_else() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    let mut streams = [a.stream("/stream", &ann).await];
    let granted = lock(a, &ann, RECORD, "tab").await.json();
    let lasts = |lock: &Value| {
        let moment = |field: &str| -> time::OffsetDateTime {
            let rfc3339 = &time::format_description::well_known::Rfc3339;
            time::OffsetDateTime::parse(lock[field].as_str().unwrap(), rfc3339).unwrap()
        };
        (moment("lockedUntil") - moment("lockedAt")).whole_seconds()
    };
    assert_eq!(lasts(&granted), 300);
    let body = json!({"session": "tab", "leaseSeconds": 3_600});
    let renewed = post_lock(b, &ann, "e-1/renew", body).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    let longer = renewed.json();
    assert!((3_600..3_660).contains(&lasts(&longer)), "{longer}");
    // As long again, where it is not said.
    let renewed = post_lock(a, &ann, "e-1/renew", json!({"session": "tab"}))
        .await
        .json();
    assert!(lasts(&renewed) >= lasts(&longer), "{renewed}");
    for field in ["fence", "lockedAt", "holder"] {
        assert_eq!(renewed[field], granted[field]);
    }
    let other = post_lock(b, &ann, "e-1/renew", json!({"session": "phone"})).await;
    other.refused(404, "unknown_session", "a session that does not hold it");
    let other = post_lock(b, &agent("bob"), "e-1/renew", json!({"session": "tab"})).await;
    other.refused(409, "locked", "someone else's");
    assert_eq!(other.json()["lock"], renewed);
    let free = post_lock(b, &ann, "e-2/renew", json!({"session": "tab"})).await;
    free.refused(404, "not_locked", "a free one");
    let expected = ["escrow:locked ann 1"];
    assert_eq!(received_until_marker(b, &mut streams).await, [expected]);
}

#[tokio::test]
async fn a_short_lease_of_one_session_does_not_shorten_the_lock() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    let claim = |session: &str, seconds: u64| {
        json!({"module": "escrows", "recordId": RECORD, "session": session,
            "leaseSeconds": seconds})
    };
    let granted = send(a, &ann, Method::POST, "/locks", &claim("desk", 3_600)).await;
    assert_eq!(granted.status, 201, "{}", granted.text);
    let joined = send(b, &ann, Method::POST, "/locks", &claim("phone", 10)).await;
    assert_eq!(joined.status, 200, "{}", joined.text);
    let renewed = json!({"session": "phone", "leaseSeconds": 20});
    let renewed = post_lock(a, &ann, "e-1/renew", renewed).await;
    for lock in [joined.json(), renewed.json()] {
        assert_eq!(lock["lockedUntil"], granted.json()["lockedUntil"]);
    }
    // Now the lease of the session that stays decides.
    assert_eq!(unlock(b, &ann, "e-1?session=desk").await.status, 204);
    let left = locks(a, &ann, "").await[0]["lockedUntil"].clone();
    assert!(
        left.as_str() < granted.json()["lockedUntil"].as_str(),
        "{left}"
    );
}
