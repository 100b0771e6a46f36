//! An instance that does not get its connections to Postgres, and one that has all connections of clients that it may have.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Executor};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::cluster::TestDatabase;
use crate::support::wait::soon;
use crate::support::{Answer, Service, Token, eventually};

/// Too few for the background tasks, some of which keep theirs.
const CONNECTIONS: u32 = 3;

async fn ready(service: &Service) -> Answer {
    Answer::to(service.client.get(service.url("/health/ready"))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_without_its_connections_is_not_ready_and_refuses_streams() {
    let database = Arc::new(TestDatabase::empty().await);
    let mut sql = database.connect().await;
    let (role, name) = (format!("few_{}", database.name()), database.name());
    for statement in [
        format!("create role {role} login"),
        format!("alter database {name} owner to {role}"),
    ] {
        sql.execute(AssertSqlSafe(statement)).await.expect("a role");
    }
    let mut url = database.url();
    url = url.replacen("postgres@", &format!("{role}@"), 1);
    let service = Service::through(Arc::clone(&database), &url, &[]).await;
    let fewer = format!(
        "alter role {role} connection limit {CONNECTIONS};
         select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
    );
    sql.execute(AssertSqlSafe(fewer)).await.expect("a limit");
    let failures = "porchlight_pool_failures_total{pool=\"background\"}";
    eventually("background tasks wait in vain", async || {
        (service.metric(failures).await > 0.0).then_some(())
    })
    .await;
    // One who has waited in vain just after another one got the last connection does not count.
    let answer = eventually("it is not ready", async || {
        let answer = ready(&service).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    answer.refused(503, "not_ready", "without connections");
    assert!(answer.text.contains("max_connections"), "{}", answer.text);
    let mut refused = service.stream("/stream", &Token::user("ann", &["a"])).await;
    let words = refused.rest().await.pop().expect("a message");
    assert_eq!(words.json()["reason"], "unavailable", "{words:?}");

    let more = format!("alter role {role} connection limit -1");
    sql.execute(AssertSqlSafe(more)).await.expect("a limit");
    eventually("it is ready", async || {
        (ready(&service).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_until_another_one_ends() {
    let service = Service::with(&["--workers=1", "--connections-per-worker=16"]).await;
    let open = join_all((0..16).map(|_| TcpStream::connect(service.addr))).await;
    let mut one_more = TcpStream::connect(service.addr).await.expect("a place");
    let request = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    one_more.write_all(request).await.expect("a connection");
    let mut answer = String::new();
    let early = tokio::time::timeout(Duration::from_millis(300), one_more.readable()).await;
    assert!(early.is_err(), "it is answered, although nobody has gone");
    drop(open);
    let read = soon("the answer", one_more.read_to_string(&mut answer)).await;
    read.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
