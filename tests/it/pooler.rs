//! Instances behind `PgBouncer` in transaction mode, with Redis between them. It needs `PgBouncer` 1.21 or newer, which
//! Debian 12 does not have: `PGBOUNCER_BIN` names one. Without it, the test says so and passes.

use std::sync::Arc;

use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::cluster::TestDatabase;
use crate::support::pgbouncer::PgBouncer;
use crate::support::redis::RedisServer;
use crate::support::requests::post;
use crate::support::sql::run;
use crate::support::{Publisher, Service, Token, for_team, numbers};

/// Fewer than the connections of the instances.
const SERVER_CONNECTIONS: u32 = 6;
const SCALING: &str = include_str!("../../docs/SCALING.md");

/// The statements of the document, for the role of the tests in one database.
fn role_settings(database: &TestDatabase) -> Vec<String> {
    let role = format!("alter role postgres in database {} set", database.name());
    let lines = SCALING
        .lines()
        .filter(|line| line.starts_with("alter role porchlight set"));
    let settings: Vec<_> = lines
        .map(|line| line.replace("alter role porchlight set", &role))
        .collect();
    assert!(
        settings.len() > 10,
        "the statements are not in the document"
    );
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "says that it was skipped")]
async fn everything_works_through_a_pooler_in_transaction_mode() {
    let pooler = match PgBouncer::start(SERVER_CONNECTIONS).await {
        Ok(pooler) => pooler,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let database = Arc::new(TestDatabase::empty().await);
    let mut direct = database.connect().await;
    for setting in role_settings(&database) {
        direct
            .execute(AssertSqlSafe(setting))
            .await
            .expect("a setting");
    }
    let quota = format!(
        "alter role postgres in database {} set porchlight.locks_per_user = '2'",
        database.name()
    );
    direct
        .execute(AssertSqlSafe(quota))
        .await
        .expect("a setting");
    let redis = RedisServer::start().await;
    let (url, backplane) = (
        pooler.url(&database),
        format!("--backplane={}", redis.url()),
    );
    let flags = [&*backplane, "--poll-ms=200", "--locks-per-user=2"];
    // They start at the same time, and both migrate.
    let [a, b] = &<[Service; 2]>::from(tokio::join!(
        Service::through(Arc::clone(&database), &url, &flags),
        Service::through(Arc::clone(&database), &url, &flags),
    ));
    let ann = Token::user("ann", &["a"]);
    let mut stream = b.stream("/stream?since=0", &ann).await;
    let publish = async |service: &Service, parity: u64| {
        let publisher = Publisher::new(&service.url(""));
        for n in (0..60).filter(|n| n % 2 == parity) {
            publisher
                .insist(&format!("key-{n}"), &for_team("a", n))
                .await;
        }
    };
    tokio::join!(publish(a, 0), publish(b, 1));
    let mut seen = numbers(&stream.logged(60).await);
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..60));

    run(
        &mut direct,
        "create table public.cars (id text primary key, broker text)",
    )
    .await;
    let watch =
        "select porchlight.watch('public.cars', module => 'cars', broker_column => 'broker')";
    run(&mut direct, watch).await;
    run(&mut direct, "insert into public.cars values ('c-1', 'b')").await;
    assert_eq!(stream.next_logged().await.name, "car:created");
    let task = json!({"type": "summarize", "title": "Summary", "params": {}});
    let created = post(a, &ann, "/tasks", &task).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(stream.next_logged().await.name, "ai:task:queued");

    // The limits of the role hold at every session of the server.
    for n in 0..3 {
        let id = format!("e-{n}");
        a.publish(
            &json!({"type": "escrow:created", "audience": {"team": "a"}, "module": "escrows",
            "recordId": id, "data": {}}),
        )
        .await;
        assert_eq!(stream.next_logged().await.json()["recordId"], id);
        let lock = json!({"module": "escrows", "recordId": id, "session": "tab"});
        let expected = if n < 2 { 201 } else { 429 };
        let at = if n == 1 { b } else { a };
        assert_eq!(post(at, &ann, "/locks", &lock).await.status, expected);
        if n < 2 {
            assert_eq!(stream.next_logged().await.name, "escrow:locked");
        }
    }
    let options: PgConnectOptions = url.parse().expect("a URL");
    let options = options.extra_float_digits(None);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let session = PgConnection::connect_with(&options).await;
        sessions.push(session.expect("a connection"));
    }
    for session in &mut sessions {
        let mut open = session.begin().await.expect("a transaction");
        let limit = sqlx::query_scalar::<_, String>("show statement_timeout");
        assert_eq!(limit.fetch_one(&mut *open).await.expect("a limit"), "20s");
    }
}
