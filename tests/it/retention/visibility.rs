//! Who may see a record whose events are gone.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{keep, pool};
use crate::support::people::{agent, ann};
use crate::support::requests::{post, posted, send};
use crate::support::sql::run;
use crate::support::{Answer, Service, Token, for_team};

/// Publishes an event about an escrow.
async fn happens(service: &Service, record: &str, verb: &str, audience: Value) {
    let event =
        json!({"type": verb, "audience": audience, "module": "escrows", "recordId": record});
    service.publish(&event).await;
}

/// Publishes one more event, and removes all that are older.
async fn forget_all(service: &Service, pool: &PgPool) {
    service.publish(&for_team("a", 0)).await;
    keep(pool, 1).await;
}

/// The audiences that outlive their events: `e-1 team:a`.
async fn outliving(pool: &PgPool) -> Vec<String> {
    let sql = "select record_id || ' ' || audience from porchlight.record_audiences order by 1";
    let found = sqlx::query_scalar(sql).fetch_all(pool).await;
    found.expect("audiences")
}

#[tokio::test]
async fn a_record_stays_with_its_team_when_its_events_are_gone() {
    let service = Service::start().await;
    let pool = pool(&service.database).await;
    let (ann, bob) = (ann(), Token::user("bob", &["b"]));
    let mut anns = service.stream("/stream", &ann).await;
    let fields = json!({"address": "7 Secret Rd", "teamId": "a"});
    let record = posted(&service, &ann, "/records/listings", &fields).await;
    let id = record["id"].as_str().expect("an id");
    assert_eq!(anns.next_logged().await.name, "listing:created");
    forget_all(&service, &pool).await;
    let mut bobs = service.stream("/stream", &bob).await;
    let lock = json!({"module": "listings", "recordId": id, "session": "tab"});
    assert_eq!(post(&service, &ann, "/locks", &lock).await.status, 201);
    let here = json!({"session": "tab", "viewing": {"module": "listings", "recordId": id}});
    posted(&service, &ann, "/presence/heartbeat", &here).await;
    for (method, path, body) in [
        (Method::GET, format!("/records/listings/{id}"), Value::Null),
        (
            Method::GET,
            format!("/presence?record=listings/{id}"),
            Value::Null,
        ),
        (
            Method::POST,
            format!("/locks/listings/{id}/request"),
            json!({}),
        ),
        (Method::POST, "/locks".to_owned(), lock.clone()),
    ] {
        let answer = send(&service, &bob, method, &path, &body).await;
        answer.refused(404, "unknown_record", &path);
    }
    assert_eq!(service.list("/locks", &bob).await["locks"], json!([]));
    let unlock = format!("/locks/listings/{id}");
    let unlocked = send(&service, &ann, Method::DELETE, &unlock, &Value::Null).await;
    assert_eq!(unlocked.status, 204, "{}", unlocked.text);
    service.publish(&for_team("b", 1)).await;
    // Nothing of what Ann did came before this.
    let seen = bobs.logged_until("test:tick").await;
    assert!(seen.is_empty(), "{seen:?}");
    // Her own team sees it as before.
    let mate = agent("mate");
    let path = format!("/presence?record=listings/{id}");
    assert_eq!(Answer::to(service.get(&path, &mate)).await.status, 200);
    assert_eq!(post(&service, &mate, "/locks", &lock).await.status, 201);
}

#[tokio::test]
async fn only_what_the_log_does_not_say_any_more_is_kept() {
    let service = Service::start().await;
    let pool = pool(&service.database).await;
    let team = |team: &str| json!({"team": team});
    let everybody = json!({"broker": true});
    for (record, verb, audience) in [
        ("of-a", "escrow:updated", team("a")),
        ("of-all", "escrow:updated", everybody.clone()),
        ("gone", "escrow:updated", team("a")),
        ("gone", "escrow:deleted", team("a")),
        // It is not the record that was deleted.
        ("with-less", "comment:deleted", team("a")),
        ("moved", "escrow:updated", team("a")),
        ("moved", "escrow:updated", team("b")),
        ("told-to-one", "escrow:updated", team("a")),
        ("told-to-one", "escrow:note", json!({"user": "ann"})),
        ("new", "escrow:created", team("a")),
        ("new", "escrow:updated", team("a")),
    ] {
        happens(&service, record, verb, audience).await;
    }
    keep(&pool, 1).await;
    let old = [
        "moved team:b",
        "of-a team:a",
        "told-to-one team:a",
        "with-less team:a",
    ];
    assert_eq!(outliving(&pool).await, old);
    // What happens later takes its place when it is gone, too.
    happens(&service, "of-a", "escrow:updated", everybody).await;
    happens(&service, "moved", "escrow:updated", team("c")).await;
    happens(&service, "with-less", "escrow:deleted", team("a")).await;
    forget_all(&service, &pool).await;
    let left = ["moved team:c", "new team:a", "told-to-one team:a"];
    assert_eq!(outliving(&pool).await, left);
}

#[tokio::test]
async fn the_migration_reads_the_teams_of_our_own_records_that_have_no_events() {
    let service = Service::start().await;
    let pool = pool(&service.database).await;
    let ann = ann();
    let mut anns = service.stream("/stream", &ann).await;
    for (id, team) in [
        ("old", json!("a")),
        ("of-all", Value::Null),
        ("new", json!("a")),
    ] {
        let fields = json!({"id": id, "address": "7 Secret Rd", "teamId": team});
        posted(&service, &ann, "/records/listings", &fields).await;
        assert_eq!(anns.next_logged().await.name, "listing:created");
    }
    let mut sql = service.database.connect().await;
    for statement in [
        "delete from porchlight.events where record_id <> 'new'",
        "update porchlight.brokers set horizon = 2",
        backfill(),
    ] {
        run(&mut sql, statement).await;
    }
    assert_eq!(outliving(&pool).await, ["old team:a"]);
}

/// The statement of the migration that fills the table.
fn backfill() -> &'static str {
    let migration = include_str!("../../../migrations/0022_record_audiences.sql");
    let from = migration.find("do $$").expect("a statement");
    let rest = &migration[from..];
    &rest[..rest.find("$$;").expect("its end") + 3]
}
