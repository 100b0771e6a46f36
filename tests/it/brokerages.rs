//! Tokens that name no brokerage: it is looked up in the CRM's own tables.

mod moving;
mod starting;
mod tickets;
mod waiting;

use std::sync::Arc;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sqlx::{Executor, PgConnection};

use crate::support::cluster::TestDatabase;
use crate::support::forge::honest;
use crate::support::sql::run;
use crate::support::{Answer, Service, Stream, Token, eventually};

/// The tables of a CRM whose tokens carry `id` and `teamId` and nothing else.
const TABLES: &str = "
    create table public.teams (id integer primary key, broker_id text);
    create table public.users (id integer primary key, team_id integer references public.teams);
    insert into public.teams values (1, 'b'), (2, 'c'), (3, null);
    insert into public.users values (11, 1), (12, 2), (13, 3), (14, null)";
/// By the user's team, as the table has it, or else as the token has it.
const QUERY: &str = "--broker-query=select t.broker_id from public.teams t
    where t.id = coalesce((select u.team_id from public.users u where u.id = $1::integer), $2::integer)";

/// A database with these tables.
async fn crm() -> (Arc<TestDatabase>, PgConnection) {
    let database = Arc::new(TestDatabase::create().await);
    let mut sql = database.connect().await;
    sql.execute(TABLES).await.unwrap();
    (database, sql)
}

/// A token as the CRM makes it.
fn token(id: &Value, team: &Value) -> String {
    honest(&json!({"sub": null, "broker_id": null, "teams": null, "id": id, "teamId": team}))
}

fn get(service: &Service, path: &str, token: &str) -> RequestBuilder {
    service.client.get(service.url(path)).bearer_auth(token)
}

/// A stream with this token, and the broker in its `stream:ready`.
async fn opened(service: &Service, path: &str, token: &str) -> (Stream, Value) {
    let mut stream = Stream::open(get(service, path, token)).await;
    let ready = stream.next().await.json();
    let broker = ready["scopes"]["broker"].clone();
    (stream, broker)
}

/// Waits until an instance listens to notices about users. It forgets everything when it begins to.
async fn until_listening(service: &Service) {
    let probe = token(&json!("99"), &json!(1));
    let ask = async || {
        let answer = Answer::to(get(service, "/events", &probe)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    ask().await;
    let first = lookups(service, "found").await;
    eventually("the instance hears", async || {
        let mut sql = service.database.connect().await;
        run(&mut sql, "select porchlight.forget_broker(user_id => '99')").await;
        ask().await;
        (lookups(service, "found").await > first).then_some(())
    })
    .await;
}

async fn lookups(service: &Service, outcome: &str) -> f64 {
    let name = format!("porchlight_broker_lookups_total{{outcome=\"{outcome}\"}}");
    service.metric(&name).await
}

#[tokio::test]
async fn a_caller_is_of_the_brokerage_that_the_query_finds() {
    let (database, _) = crm().await;
    let service = Service::on(database, &[QUERY]).await;
    for (user, team, broker) in [
        (json!(11), json!(1), "b"),
        (json!("12"), json!("2"), "c"),
        // The team of the token is out of date, or all that is known.
        (json!(11), json!(2), "b"),
        (json!(99), json!(2), "c"),
        (json!(11), Value::Null, "b"),
    ] {
        let token = token(&user, &team);
        let (mut stream, found) = opened(&service, "/stream", &token).await;
        assert_eq!(found, broker, "{user} {team}");
        for of in ["b", "c"] {
            let event =
                json!({"type": "test:at", "audience": {"broker": true}, "data": {"of": of}});
            assert_eq!(service.post(of, &event).await.status, 201);
        }
        assert_eq!(stream.next_logged().await.json()["data"]["of"], broker);
    }
    // What a token says itself is never looked up.
    let asked = lookups(&service, "found").await;
    let claimed = honest(&json!({"sub": "12", "broker_id": "b"}));
    assert_eq!(opened(&service, "/stream", &claimed).await.1, "b");
    assert_eq!(lookups(&service, "found").await, asked);
}

#[tokio::test]
async fn requests_of_one_user_share_an_answer() {
    let (database, _) = crm().await;
    let service = Service::on(database, &[QUERY]).await;
    let token = token(&json!(11), &json!(1));
    let requests = (0..50).map(|_| Answer::to(get(&service, "/events", &token)));
    let answers = futures_util::future::join_all(requests).await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    // One more if the service began to listen to notices meanwhile, and forgot its answers.
    assert!(lookups(&service, "found").await <= 2.0);
}

#[tokio::test]
async fn a_user_of_no_brokerage_is_refused_and_not_looked_up_again_at_once() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY]).await;
    let nobody = [
        token(&json!(99), &Value::Null),
        token(&json!(14), &Value::Null),
        token(&json!(13), &json!(3)),
        // The query cannot read such ids as numbers: no user has them.
        token(&json!("auth0|5f7c"), &json!("a")),
    ];
    for token in &nobody {
        for path in ["/events", "/stream", "/stream/team", "/tasks"] {
            let answer = Answer::to(get(&service, path, token)).await;
            let field = answer.refused(401, "broker_unknown", path);
            assert_eq!(field.as_deref(), Some("broker_id"));
        }
    }
    assert!(lookups(&service, "none").await <= 8.0);
    // Once there is one, and a notice of it, it counts.
    run(
        &mut sql,
        "update public.teams set broker_id = 'd' where id = 3;
        select porchlight.forget_broker(team_id => '3')",
    )
    .await;
    eventually("the new brokerage", async || {
        let answer = Answer::to(get(&service, "/events", &nobody[2])).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn more_than_one_brokerage_is_none() {
    let (database, _) = crm().await;
    let both =
        "--broker-query=select broker_id from public.teams where $1 = 'both' or broker_id = 'b'";
    let service = Service::on(database, &[both]).await;
    let answer = Answer::to(get(
        &service,
        "/events",
        &token(&json!("both"), &Value::Null),
    ))
    .await;
    answer.refused(401, "broker_unknown", "two brokerages");
    let answer = Answer::to(get(
        &service,
        "/events",
        &token(&json!("one"), &Value::Null),
    ))
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_lookup_that_fails_is_no_refusal_of_the_token() {
    let (database, mut sql) = crm().await;
    let service = Service::on(database, &[QUERY]).await;
    let token = token(&json!(11), &json!(1));
    run(&mut sql, "alter table public.teams rename to hidden").await;
    for path in ["/events", "/tasks", "/presence"] {
        let answer = Answer::to(get(&service, path, &token)).await;
        answer.refused(503, "database_unavailable", path);
        assert!(!answer.header("retry-after").is_empty());
    }
    // Any status but 200 would end a browser's stream for good.
    for path in [
        "/stream",
        "/stream/user",
        "/stream/team",
        "/stream/broker",
        "/tasks/t/output",
    ] {
        let mut stream = Stream::open(get(&service, path, &token)).await;
        assert_eq!(stream.status, 200, "{path}");
        let closing = stream.next().await.json();
        assert_eq!(
            (&closing["type"], &closing["reason"]),
            (&json!("stream:closing"), &json!("unavailable"))
        );
        assert!(stream.retry_ms.is_some());
        assert!(stream.try_next().await.is_none());
    }
    run(&mut sql, "alter table public.hidden rename to teams").await;
    assert_eq!(opened(&service, "/stream", &token).await.1, "b");
}

#[tokio::test]
async fn a_query_that_hangs_holds_up_nobody_else() {
    let (database, _) = crm().await;
    let hanging = "--broker-query=select case when $1 = 'slow' then (select 'b' from pg_sleep(60))
        else 'b' end";
    let service = Service::on(database, &[hanging, "--database-connections=5"]).await;
    // As many as may ask at a time but one.
    let slow: Vec<_> = (0..3).map(|n| token(&json!("slow"), &json!(n))).collect();
    let slow = slow
        .iter()
        .map(|token| Answer::to(get(&service, "/events", token)));
    let quick = token(&json!("quick"), &Value::Null);
    let quick = Answer::to(get(&service, "/events", &quick));
    let (answers, quick) = tokio::join!(futures_util::future::join_all(slow), quick);
    assert_eq!(quick.status, 200, "{}", quick.text);
    for answer in answers {
        answer.refused(503, "database_unavailable", "a query that hangs");
    }
    // The database has ended these queries, too: requests have all connections.
    let ann = Token::user("ann", &[]);
    let listed = (0..5).map(|_| service.list("/tasks", &ann));
    futures_util::future::join_all(listed).await;
}

#[tokio::test]
async fn whoever_is_looked_up_is_known_by_name_at_their_brokerage() {
    let (database, _) = crm().await;
    let service = Service::on(database, &[QUERY]).await;
    let claims = json!({"sub": null, "broker_id": null, "teams": null, "id": 12, "name": "Cid"});
    let answer = Answer::to(get(&service, "/events", &honest(&claims))).await;
    assert_eq!(answer.status, 200);
    eventually("the name is kept", async || {
        let mut sql = service.database.connect().await;
        let query = "select broker_id || ' ' || name from porchlight.people where user_id = '12'";
        let known = sqlx::query_scalar::<_, String>(query);
        let known = known.fetch_optional(&mut sql).await.unwrap();
        (known? == "c Cid").then_some(())
    })
    .await;
}
