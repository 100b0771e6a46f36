//! Quotas: each user and each brokerage has a limit of what it may have at a time.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::support::instances::two;
use crate::support::people::{admin, agent, ann};
use crate::support::requests::{post, posted, send};
use crate::support::sql::{run, until_counted};
use crate::support::{Answer, Service, Token};

/// What is one too many: the quota, whose it is, and its limit.
#[track_caller]
fn refused(answer: &Answer, quota: &str, scope: &str, limit: u64) {
    answer.refused(429, "quota_exceeded", quota);
    let problem = answer.json();
    let told = (&problem["quota"], &problem["scope"], &problem["limit"]);
    assert_eq!(told, (&json!(quota), &json!(scope), &json!(limit)));
    assert!(answer.header("retry-after").parse::<u64>().is_ok());
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.contains(&limit.to_string()), "{detail}");
}

/// The counts that are not those of the tables.
const WRONG: &str = "with counted as (
        select broker_id, 'tasks' as kind, case when asked_as = 'person' then user_id end as user_id
        from porchlight.tasks where ended_at is null
        union all select broker_id, 'locks', user_id from porchlight.locks where user_id is not null
        union all select broker_id, 'notifications', posted_by from porchlight.notifications
        where posted_by is not null
        union all select broker_id, 'keys', user_id from porchlight.idempotency_keys
        where principal = 'person' and answer is not null
        union all select broker_id, 'uploads', user_id from porchlight.uploads
    ), truth as (
        select broker_id, kind, user_id, count(*) as n from counted
        where user_id is not null group by 1, 2, 3
        union all select broker_id, kind, '', count(*) from counted group by 1, 2
        union all select n.broker_id, 'unread', '', count(*) from porchlight.notifications n
        where audience like 'user:%' and not exists (
                select from porchlight.notification_marks m where m.broker_id = n.broker_id
                    and 'user:' || m.user_id = n.audience and m.read_up_to >= n.id)
            and not exists (
                select from porchlight.notification_reads r
                where r.broker_id = n.broker_id and r.id = n.id and 'user:' || r.user_id = n.audience)
        group by 1
    )
    select string_agg(concat_ws(' ', kind, user_id, 'has', t.n, 'counted', q.used), ', ') from truth t
    full join (select * from porchlight.quota_use where used > 0) q using (broker_id, kind, user_id)
    where t.n is distinct from q.used";

#[track_caller]
fn assert_counted(sql: &mut PgConnection) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    async move {
        let wrong = sqlx::query_scalar::<_, Option<String>>(WRONG);
        let wrong = wrong.fetch_one(sql).await.expect("an answer");
        assert_eq!(wrong, None, "{at}");
    }
}

async fn lock(service: &Service, who: &Token, record: &str) -> Answer {
    let body = json!({"module": "escrows", "recordId": record, "session": "tab"});
    post(service, who, "/locks", &body).await
}

#[tokio::test]
async fn open_tasks_have_a_limit_and_those_that_end_make_room() {
    let flags = ["--tasks-per-user=3", "--tasks-per-brokerage=5"];
    let service = Service::with(&flags).await;
    let (ann, bob, backend) = (ann(), agent("bob"), Token::service("b"));
    let task = json!({"type": "sum"});
    let create = async |who: &Token| post(&service, who, "/tasks", &task).await;
    let flow = json!({"type": "flow", "children": [task, task]});
    let flow = posted(&service, &ann, "/tasks", &flow).await;
    refused(&create(&ann).await, "tasks", "user", 3);
    // A service has no limit of its own.
    let first = posted(&service, &backend, "/tasks", &task).await;
    assert_eq!(create(&backend).await.status, 201);
    refused(&create(&bob).await, "tasks", "brokerage", 5);
    refused(&create(&backend).await, "tasks", "brokerage", 5);
    assert_eq!(create(&bob.clone().of("c")).await.status, 201);
    let cancel = async |who: &Token, task: &Value| {
        let path = format!("/tasks/{}/cancel", task["id"].as_str().expect("an id"));
        post(&service, who, &path, &json!({})).await
    };
    assert_eq!(cancel(&ann, &flow).await.status, 200);
    assert_eq!(create(&ann).await.status, 201);
    assert_eq!(cancel(&backend, &first).await.status, 200);
    // A retry is a new task, and so are its steps.
    let path = format!("/tasks/{}/retry", flow["id"].as_str().expect("an id"));
    let retried = post(&service, &ann, &path, &json!({})).await;
    refused(&retried, "tasks", "user", 3);
    assert_counted(&mut service.database.connect().await).await;
}

#[tokio::test]
async fn held_locks_have_a_limit_and_every_end_of_a_lock_makes_room() {
    let service = Service::with(&["--locks-per-user=2", "--locks-per-brokerage=3"]).await;
    let (ann, bob, boss) = (ann(), agent("bob"), admin(&["a"]));
    for record in ["e-1", "e-2", "e-1"] {
        assert!(lock(&service, &ann, record).await.status < 300);
    }
    refused(&lock(&service, &ann, "e-3").await, "locks", "user", 2);
    assert_eq!(lock(&service, &bob, "e-3").await.status, 201);
    refused(&lock(&service, &bob, "e-4").await, "locks", "brokerage", 3);
    // Taken over, it counts for the new holder.
    let take = async |record: &str| {
        let path = format!("/locks/escrows/{record}/takeover");
        post(&service, &boss, &path, &json!({"session": "tab"})).await
    };
    for record in ["e-1", "e-3"] {
        assert_eq!(take(record).await.status, 201, "{record}");
    }
    refused(&take("e-2").await, "locks", "user", 2);
    let release = "/locks/escrows/e-1";
    send(&service, &boss, Method::DELETE, release, &Value::Null).await;
    assert_eq!(lock(&service, &bob, "e-4").await.status, 201);
    let mut sql = service.database.connect().await;
    assert_counted(&mut sql).await;
    let expire = "update porchlight.locks set locked_until = clock_timestamp()
        where user_id is not null";
    run(&mut sql, expire).await;
    let held = "select count(*) from porchlight.locks where user_id is not null";
    until_counted(&mut sql, held, 0).await;
    assert_counted(&mut sql).await;
    for record in ["e-5", "e-6"] {
        assert_eq!(lock(&service, &ann, record).await.status, 201, "{record}");
    }
}

#[tokio::test]
async fn posted_and_unread_notifications_have_limits() {
    let flags = ["--notifications-per-user=3", "--unread-per-user=2"];
    let service = Service::with(&flags).await;
    let (ann, bob, backend) = (ann(), agent("bob"), Token::service("b"));
    let note = async |who: &Token, audience: Value| {
        let body = json!({"audience": audience, "level": "info", "title": "t"});
        post(&service, who, "/notifications", &body).await
    };
    let to_ann = || json!({"user": "ann"});
    // Those whose teams are not known yet have the same limit.
    let to_new = || json!({"user": "zoe"});
    for _ in 0..2 {
        assert_eq!(note(&backend, to_new()).await.status, 201);
    }
    refused(&note(&backend, to_new()).await, "unread", "user", 2);
    service.list("/notifications", &ann).await;
    for _ in 0..2 {
        assert_eq!(note(&ann, to_ann()).await.status, 201);
    }
    refused(&note(&ann, to_ann()).await, "unread", "user", 2);
    refused(&note(&backend, to_ann()).await, "unread", "user", 2);
    posted(&service, &ann, "/notifications/read-all", &json!({})).await;
    assert_eq!(note(&ann, to_ann()).await.status, 201);
    let to_team = || json!({"team": "a"});
    refused(&note(&ann, to_team()).await, "notifications", "user", 3);
    for who in [&bob, &backend, &backend, &backend, &backend] {
        assert_eq!(note(who, to_team()).await.status, 201);
    }
    // What the service itself would add is left out: nobody reads it.
    lock(&service, &ann, "e-1").await;
    let asked = json!({"session": "tab"});
    posted(&service, &bob, "/locks/escrows/e-1/request", &asked).await;
    let mut sql = service.database.connect().await;
    let behind = "select count(*) from porchlight.brokers b left join porchlight.notified n
        using (broker_id) where n.position is distinct from b.head";
    until_counted(&mut sql, behind, 0).await;
    let listed = service.list("/notifications?unread=true", &ann).await;
    let listed = listed["notifications"].as_array().expect("a list");
    let is_made = |one: &Value| one.get("kind").is_some();
    assert!(!listed.iter().any(is_made), "{listed:?}");
    assert_counted(&mut sql).await;
    run(&mut sql, "delete from porchlight.notifications").await;
    assert_counted(&mut sql).await;
}

#[tokio::test]
async fn unread_notifications_of_a_brokerage_have_a_limit() {
    let service = Service::with(&["--unread-per-brokerage=4"]).await;
    let (ann, bob, backend) = (ann(), agent("bob"), Token::service("b"));
    let note = async |audience: Value| {
        let body = json!({"audience": audience, "level": "info", "title": "t"});
        post(&service, &backend, "/notifications", &body).await
    };
    let to = |user: &str| json!({"user": user});
    let mut ids = Vec::new();
    for user in ["ann", "ann", "bob", "ann"] {
        let sent = note(to(user)).await;
        assert_eq!(sent.status, 201, "{user}");
        ids.push(sent.json()["id"].as_i64().expect("an id"));
    }
    refused(&note(to("cid")).await, "unread", "brokerage", 4);
    // Those to many count for nobody.
    assert_eq!(note(json!({"team": "a"})).await.status, 201);
    // What the service itself would add is left out.
    lock(&service, &ann, "e-1").await;
    let asked = json!({"session": "tab"});
    posted(&service, &bob, "/locks/escrows/e-1/request", &asked).await;
    let mut sql = service.database.connect().await;
    let behind = "select count(*) from porchlight.brokers b left join porchlight.notified n
        using (broker_id) where n.position is distinct from b.head";
    until_counted(&mut sql, behind, 0).await;
    let made = "select count(*) from porchlight.notifications where kind is not null";
    until_counted(&mut sql, made, 0).await;
    assert_counted(&mut sql).await;
    // Each way to read one makes room: alone, twice, and together with one that was read before.
    for path in [format!("{}/read", ids[1]), format!("{}/read", ids[1])] {
        posted(
            &service,
            &ann,
            &format!("/notifications/{path}"),
            &json!({}),
        )
        .await;
    }
    assert_counted(&mut sql).await;
    let up_to = json!({"upTo": ids[2]});
    posted(&service, &ann, "/notifications/read-all", &up_to).await;
    assert_counted(&mut sql).await;
    assert_eq!(note(to("cid")).await.status, 201);
    assert_eq!(note(to("cid")).await.status, 201);
    refused(&note(to("cid")).await, "unread", "brokerage", 4);
    posted(&service, &bob, "/notifications/read-all", &json!({})).await;
    posted(
        &service,
        &ann,
        &format!("/notifications/{}/read", ids[3]),
        &json!({}),
    )
    .await;
    assert_counted(&mut sql).await;
    // What was read and what was not are removed together.
    run(&mut sql, "delete from porchlight.notifications").await;
    assert_counted(&mut sql).await;
}

#[tokio::test]
async fn keys_and_uploads_have_limits() {
    let service = Service::with(&["--keys-per-user=2", "--uploads-per-brokerage=1"]).await;
    let (ann, bob) = (ann(), agent("bob"));
    let create = async |who: &Token, key: &str| {
        let request = service.client.post(service.url("/records/escrows"));
        let request = request.bearer_auth(who.signed());
        let body = json!({"address": "1 Oak St"});
        Answer::to(request.header("Idempotency-Key", key).json(&body)).await
    };
    for key in ["k-1", "k-2", "k-1"] {
        assert_eq!(create(&ann, key).await.status, 201, "{key}");
    }
    refused(&create(&ann, "k-3").await, "keys", "user", 2);
    assert_eq!(create(&bob, "k-3").await.status, 201);
    // Nothing was written, and without a key there is no limit.
    let listed = service.list("/records/escrows", &ann).await;
    assert_eq!(listed["records"].as_array().map(Vec::len), Some(3));
    let plain = json!({"address": "1 Oak St"});
    assert_eq!(
        post(&service, &ann, "/records/escrows", &plain)
            .await
            .status,
        201
    );
    let upload = async |who: &Token| {
        let request = service.client.post(service.url("/uploads"));
        let request = request.bearer_auth(who.signed());
        Answer::to(
            request
                .header("Content-Type", "text/csv")
                .body("Name\nAnn\n"),
        )
        .await
    };
    assert_eq!(upload(&ann).await.status, 201);
    refused(&upload(&bob).await, "uploads", "brokerage", 1);
    let mut sql = service.database.connect().await;
    assert_counted(&mut sql).await;
    run(&mut sql, "delete from porchlight.uploads").await;
    run(&mut sql, "delete from porchlight.idempotency_keys").await;
    assert_counted(&mut sql).await;
    assert_eq!(upload(&bob).await.status, 201);
    assert_eq!(create(&ann, "k-3").await.status, 201);
}

#[tokio::test]
async fn streams_of_a_brokerage_and_requests_that_wait_have_limits() {
    let flags = [
        "--streams-per-brokerage=1",
        "--polls-per-user=1",
        "--polls-per-brokerage=2",
    ];
    let service = Service::with(&flags).await;
    let (ann, bob, cid) = (ann(), agent("bob"), agent("cid"));
    service
        .publish(&json!({"type": "x:y", "audience": {"team": "z"}}))
        .await;
    let short = async |who: &Token| Answer::to(service.get("/events?wait=1", who)).await;
    // Gives a request that waits, and the answer to a second one.
    let fill = async |who: &Token| loop {
        let waiting = tokio::spawn(Answer::to(service.get("/events?wait=30", who)));
        while !waiting.is_finished() {
            // The second one must not come first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let second = short(who).await;
            if second.status != 200 {
                return (waiting, second);
            }
        }
    };
    let (of_ann, second) = fill(&ann).await;
    refused(&second, "polls", "user", 1);
    let (of_bob, _) = fill(&bob).await;
    refused(&short(&cid).await, "polls", "brokerage", 2);
    service
        .publish(&json!({"type": "x:y", "audience": {"team": "a"}}))
        .await;
    for answer in [of_ann, of_bob] {
        assert_eq!(answer.await.expect("an answer").status, 200);
    }
    assert_eq!(short(&cid).await.status, 200);
    let mut open = service.stream("/stream", &ann).await;
    open.next_state("locks:snapshot").await;
    let mut another = service.stream("/stream", &bob).await;
    let last = another.rest().await.pop().expect("an event");
    assert_eq!(last.json()["reason"], "overloaded");
    let mut elsewhere = service.stream("/stream", &bob.of("c")).await;
    elsewhere.next_state("locks:snapshot").await;
}

#[tokio::test]
async fn requests_that_race_do_not_get_past_a_limit() {
    let flags = ["--locks-per-user=3", "--locks-per-brokerage=5"];
    let services = &two(&flags).await;
    let racing = (0..24).map(|n| async move {
        let who = agent(["ann", "bob", "cid"][n % 3]);
        lock(&services[n % 2], &who, &format!("e-{n}")).await.status
    });
    let statuses = join_all(racing).await;
    let granted = statuses.iter().filter(|status| **status == 201).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((granted, refused), (5, 19), "{statuses:?}");
    let mut sql = services[0].database.connect().await;
    assert_counted(&mut sql).await;
    let most = "select count(*) from porchlight.quota_use where user_id <> '' and used > 3";
    until_counted(&mut sql, most, 0).await;
}
