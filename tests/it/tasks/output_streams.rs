//! Streams of output among other streams: they are counted and limited, notices wake them, and
//! while nothing happens they cost no query.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::Executor;
use tokio_util::sync::CancellationToken;

use super::{ann, claim, post, say, task, worker};
use crate::parked::client::{RawClient, open_streams};
use crate::parked::stalled::{NEVER, revoke};
use crate::support::cluster::TestDatabase;
use crate::support::ends::last_words;
use crate::support::instances::{cut_connections, two};
use crate::support::own::OwnPostgres;
use crate::support::requests::{client, stream_at};
use crate::support::{
    Answer, Message, Process, Service, Stream, Token, eventually, for_team, number,
};

/// Polls come once a minute: only notices are quicker.
const NOTICES_ALONE: &[&str] = &["--poll-ms=60000"];

fn path(task: &str) -> String {
    format!("/tasks/{task}/output")
}

/// Opens a stream of output, which is admitted when its head has come.
async fn open(service: &Service, id: &str, who: &Token) -> Stream {
    let stream = service.stream(&path(id), who).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    stream
}

/// Writes at the end of the first attempt's output, and gives where it ends then.
async fn write(service: &Service, id: &str, offset: usize, text: &str) -> usize {
    let body = json!({"fence": 1, "offset": offset, "text": text});
    let kept = say(service, &worker("wes"), id, "output", body).await;
    assert_eq!(kept.status, 200, "{}", kept.text);
    offset + text.len()
}

fn text(message: &Message) -> Value {
    assert_eq!(message.name, "output", "{}", message.data);
    message.json()["text"].clone()
}

#[tokio::test]
async fn an_output_stream_counts_among_its_users_streams() {
    let service = Service::with(&["--streams-per-user=2"]).await;
    let id = task(&service, &ann()).await;
    claim(&service, &worker("wes")).await;
    let mut first = service.stream("/stream/team", &ann()).await;
    assert_eq!(first.next().await.name, "stream:ready");
    let mut second = open(&service, &id, &ann()).await;
    let mut other = service
        .stream("/stream/team", &Token::user("bob", &["a"]))
        .await;
    assert_eq!(other.next().await.name, "stream:ready");
    let mut third = open(&service, &id, &ann()).await;
    assert_eq!(last_words(&mut second).await["reason"], "evicted");
    write(&service, &id, 0, "Dear").await;
    assert_eq!(text(&third.next_output().await), "Dear");
    let mut fourth = service.stream("/stream/team", &ann()).await;
    assert_eq!(fourth.next().await.name, "stream:ready");
    assert_eq!(last_words(&mut third).await["reason"], "evicted");
    let evicted = "porchlight_streams_closed_total{reason=\"evicted\"}";
    let counts = [("porchlight_streams_open", 3.0), (evicted, 2.0)];
    for (name, expected) in counts {
        let counted = async || {
            let value = service.metric(name).await;
            ((value - expected).abs() < 0.1).then_some(())
        };
        eventually(name, counted).await;
    }
    service.publish(&for_team("a", 1)).await;
    for stream in [&mut first, &mut fourth] {
        assert_eq!(number(&stream.next_logged().await), 1);
    }
}

#[tokio::test]
async fn a_full_server_sends_output_streams_away_in_a_way_that_they_come_back() {
    let service = Service::with(&["--max-streams=2"]).await;
    let id = task(&service, &ann()).await;
    let first = open(&service, &id, &ann()).await;
    let _second = open(&service, &id, &ann()).await;
    let mut third = open(&service, &id, &ann()).await;
    assert_eq!(last_words(&mut third).await["reason"], "overloaded");
    assert!(third.retry_ms.is_some_and(|ms| ms >= 500));
    let mut events = service.stream("/stream/team", &ann()).await;
    assert_eq!(last_words(&mut events).await["reason"], "overloaded");
    // Closed streams do not count. A task that has ended ends its streams at once.
    drop(first);
    let over = task(&service, &ann()).await;
    post(
        &service,
        &ann(),
        &format!("/tasks/{over}/cancel"),
        &json!({}),
    )
    .await;
    let comes_back = async || {
        let mut stream = open(&service, &over, &ann()).await;
        (stream.next_output().await.name == "end").then_some(())
    };
    eventually("there is room again", comes_back).await;
}

/// The statements that the service makes in three waits for the outbox, which keep time
/// whatever streams there are.
async fn statements_of_three_waits(database: &TestDatabase) -> Vec<String> {
    let is_wait = |statement: &&String| statement.contains("select porchlight.wait_for_outbox(");
    let before = database.statements();
    let enough = before.iter().filter(is_wait).count() + 3;
    let after = eventually("three waits", async || {
        let statements = database.statements();
        (statements.iter().filter(is_wait).count() >= enough).then_some(statements)
    });
    after.await.split_off(before.len())
}

fn reads(statements: &[String]) -> usize {
    let is_read = |statement: &&String| statement.contains("from porchlight.task_output");
    statements.iter().filter(is_read).count()
}

#[tokio::test]
async fn quiet_output_streams_cost_no_query_and_readers_of_one_text_share_theirs() {
    const STREAMS: usize = 40;
    let database = Arc::new(TestDatabase::create().await);
    database.log_statements().await;
    let service = Service::on(Arc::clone(&database), &["--streams-per-user=100"]).await;
    let id = task(&service, &ann()).await;
    claim(&service, &worker("wes")).await;
    let mut streams = vec![open(&service, &id, &ann()).await];
    let mut end = write(&service, &id, 0, "a").await;
    assert_eq!(text(&streams[0].next_output().await), "a");
    let with_one = statements_of_three_waits(&database).await;
    while streams.len() < STREAMS {
        let mut stream = open(&service, &id, &ann()).await;
        assert_eq!(text(&stream.next_output().await), "a");
        streams.push(stream);
    }
    let with_many = statements_of_three_waits(&database).await;
    assert!(
        with_many.len() < with_one.len() + STREAMS,
        "{} statements with one stream, {} with {STREAMS}",
        with_one.len(),
        with_many.len()
    );
    let before = database.statements().len();
    for chunk in ["b", "c", "d"] {
        end = write(&service, &id, end, chunk).await;
        for stream in &mut streams {
            assert_eq!(text(&stream.next_output().await), chunk);
        }
    }
    let reads = reads(&database.statements()[before..]);
    assert!(
        (3..STREAMS).contains(&reads),
        "{reads} reads of three chunks"
    );
}

#[tokio::test]
async fn text_and_ends_reach_streams_at_other_instances_by_notice() {
    let [a, b] = &two(NOTICES_ALONE).await;
    let id = task(a, &ann()).await;
    let mut streams = [open(a, &id, &ann()).await, open(b, &id, &ann()).await];
    claim(a, &worker("wes")).await;
    for stream in &mut streams {
        assert_eq!(stream.next_output().await.name, "restart");
    }
    let mut end = 0;
    for n in 0..20 {
        let chunk = format!("chunk {n}, ");
        let at = if n % 3 == 0 { a } else { b };
        end = write(at, &id, end, &chunk).await;
        for stream in &mut streams {
            assert_eq!(text(&stream.next_output().await), chunk);
        }
    }
    say(b, &worker("wes"), &id, "complete", json!({"fence": 1})).await;
    for stream in &mut streams {
        let last = stream.next_output().await;
        assert_eq!(
            (&last.name[..], &last.json()["state"]),
            ("end", &json!("completed"))
        );
        assert!(stream.try_next().await.is_none(), "the stream ends");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_notice_the_safety_net_finds_what_was_written() {
    let [a, b] = &two(&["--poll-ms=100"]).await;
    let id = task(a, &ann()).await;
    claim(a, &worker("wes")).await;
    let mut stream = open(b, &id, &ann()).await;
    let done = CancellationToken::new();
    let cutting_listeners = cut_connections(&a.database, "query ilike 'listen%'", &done);
    let writing = async {
        let mut end = 0;
        for n in 0..20 {
            let chunk = format!("chunk {n}, ");
            end = write(a, &id, end, &chunk).await;
            assert_eq!(text(&stream.next_output().await), chunk);
        }
        done.cancel();
    };
    let (cuts, ()) = tokio::join!(cutting_listeners, writing);
    assert!(cuts > 0, "nobody listened");
}

#[tokio::test]
async fn an_instance_that_could_not_listen_looks_at_all_streams_once_it_can() {
    let [a, b] = &two(NOTICES_ALONE).await;
    let id = task(a, &ann()).await;
    claim(a, &worker("wes")).await;
    let mut stream = open(b, &id, &ann()).await;
    let mut end = write(a, &id, 0, "heard").await;
    assert_eq!(text(&stream.next_output().await), "heard");
    let mut sql = a.database.connect().await;
    a.database.allow_connections(false).await;
    let cut = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
        where datname = current_database() and query ilike 'listen%'";
    let cut = sql.fetch_all(cut).await.expect("listeners");
    assert_eq!(cut.len(), 2, "both are deaf from here on");
    end = write(a, &id, end, ", not heard").await;
    a.database.allow_connections(true).await;
    assert_eq!(text(&stream.next_output().await), ", not heard");
    write(a, &id, end, ", heard again").await;
    assert_eq!(text(&stream.next_output().await), ", heard again");
}

#[tokio::test]
async fn the_stream_of_a_task_that_is_removed_ends() {
    let service = Service::with(&["--poll-ms=100"]).await;
    let id = task(&service, &ann()).await;
    let mut stream = open(&service, &id, &ann()).await;
    let mut sql = service.database.connect().await;
    let removed = sql.execute("delete from porchlight.tasks").await;
    assert_eq!(removed.expect("a task").rows_affected(), 1);
    assert_eq!(last_words(&mut stream).await["reason"], "unavailable");
    assert!(stream.try_next().await.is_none());
    let gone = Answer::to(service.get(&path(&id), &ann())).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_output_streams_end_and_come_back() {
    let mut postgres = OwnPostgres::start().await;
    let url = postgres.url();
    let process = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url[..])]).await;
    let base = process.url("");
    let create = client(true).post(process.url("/tasks"));
    let create = create
        .bearer_auth(ann().signed())
        .json(&json!({"type": "import"}));
    let made = Answer::to(create).await.json();
    let path = path(&super::id(&made));
    let mut open = stream_at(&format!("{base}{path}"), &ann(), true).await;
    postgres.go_away().await;
    let mut refused = stream_at(&format!("{base}{path}"), &ann(), true).await;
    assert_eq!(refused.status, 200);
    assert_eq!(last_words(&mut refused).await["reason"], "unavailable");
    assert_eq!(last_words(&mut open).await["reason"], "unavailable");
    postgres.come_back().await;
    let sql = "update porchlight.tasks set state = 'cancelled', ended_at = now()";
    postgres
        .connect()
        .await
        .execute(sql)
        .await
        .expect("the end of the task");
    let comes_back = async || {
        let mut stream = stream_at(&format!("{base}{path}"), &ann(), true).await;
        (stream.next_output().await.name == "end").then_some(())
    };
    eventually("the stream comes back", comes_back).await;
}

/// Writes more output than the sockets of both ends take. Returns where it ends.
async fn write_much(service: &Service, id: &str) -> usize {
    let (mut end, text) = (0, "x".repeat(200_000));
    for _ in 0..20 {
        end = write(service, id, end, &text).await;
    }
    end
}

/// Opens a stream of output whose client reads nothing.
async fn open_stalled(service: &Service, id: &str, who: &Token) -> RawClient {
    let mut stalled = RawClient::connect_small(service.addr).await;
    let (path, token) = (path(id), who.signed());
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stalled.send(request).await;
    stalled
}

#[tokio::test]
async fn an_output_stream_that_is_renewed_while_its_client_reads_nothing_goes_on() {
    let service = Service::with(&[NEVER]).await;
    let id = task(&service, &ann()).await;
    claim(&service, &worker("wes")).await;
    let end = write_much(&service, &id).await;
    let short = ann().lasting(10);
    let mut stalled = open_stalled(&service, &id, &short).await;
    stalled.until("heartbeatSeconds").await;
    let mut reading = open(&service, &id, &short).await;
    while reading.next_output().await.id != format!("1-{end}") {}
    let stream = stalled.text.split("\"stream\":\"").nth(1);
    let stream = stream.and_then(|rest| rest.split('"').next());
    let fresh = json!({"stream": stream.expect("an id")});
    let renewed = post(&service, &ann(), "/sessions/renew", &fresh).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    // The other one shows that the first token has ended.
    assert_eq!(last_words(&mut reading).await["reason"], "expired");
    let next = stalled.first_of(["stream:renewed", "stream:closing"]).await;
    assert_eq!(next, "stream:renewed", "{}", stalled.text);
}

#[tokio::test]
async fn a_revoked_output_stream_ends_although_its_client_does_not_read() {
    let service = Service::with(&[NEVER]).await;
    let id = task(&service, &ann()).await;
    claim(&service, &worker("wes")).await;
    let end = write_much(&service, &id).await;
    let stalled = open_stalled(&service, &id, &ann()).await;
    open_streams(&service, 1).await;
    // By the time that a client which reads has all of it, the other one's socket takes no more.
    let mut reading = open(&service, &id, &ann()).await;
    while reading.next_output().await.id != format!("1-{end}") {}
    revoke(&service, &ann()).await;
    assert_eq!(last_words(&mut reading).await["reason"], "revoked");
    open_streams(&service, 0).await;
    let closed = "porchlight_streams_closed_total{reason=\"revoked\"}";
    assert_eq!(service.metric(closed).await, 2.0);
    drop(stalled);
}
