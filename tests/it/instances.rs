//! Several instances on one database: it does not matter who publishes where, who reads
//! where, and whether the instances receive each other's notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use porchlight::platform::BrokerId;
use serde_json::json;
use sqlx::Executor;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use crate::support::appending::{append_events, numbered};
use crate::support::cluster::TestDatabase;
use crate::support::instances::{cut_connections, two};
use crate::support::sql::run;
use crate::support::{
    Chance, Message, Publisher, Service, Token, eventually, for_team, number, numbers,
    short_or_long,
};

fn broker() -> BrokerId {
    "b".parse().expect("an id")
}

fn assert_contiguous(messages: &[Message]) {
    let positions: Vec<_> = messages.iter().map(Message::position).collect();
    assert_eq!(positions.first(), Some(&1));
    let gap = positions.windows(2).find(|two| two[1] != two[0] + 1);
    assert_eq!(gap, None);
}

#[tokio::test]
async fn what_is_published_at_one_arrives_at_the_other_without_a_poll() {
    let instances = two(&["--poll-ms=60000"]).await;
    let token = Token::user("u", &["a"]);
    let mut streams = Vec::new();
    for instance in &instances {
        let mut stream = instance.stream("/stream/team", &token).await;
        stream.next().await;
        streams.push(stream);
    }
    for n in 0..20_u64 {
        let at = usize::from(n % 3 == 0);
        instances[at].publish(&for_team("a", n)).await;
        for stream in &mut streams {
            assert_eq!(number(&stream.next().await), n);
        }
    }
}

#[tokio::test]
async fn an_instance_that_is_alone_sends_no_notices() {
    let database = Arc::new(TestDatabase::create().await);
    database.log_statements().await;
    let service = Service::on(Arc::clone(&database), &[]).await;
    let mut listener = PgListener::connect(&database.url())
        .await
        .expect("connects");
    listener.listen("porchlight").await.expect("listens");
    service.publish(&for_team("a", 0)).await;
    eventually("it looks for other instances", async || {
        let statements = database.statements();
        let mut sent = statements.iter().filter(|s| s.contains("pg_notify"));
        sent.next().map(drop)
    })
    .await;
    let other = "insert into porchlight.instances values ('other', now() + interval '1 minute')";
    run(&mut database.connect().await, other).await;
    service.publish(&for_team("a", 1)).await;
    let notice = listener.recv().await.expect("a notice");
    assert!(notice.payload().ends_with(" 2"), "{notice:?}");
}

#[tokio::test]
async fn a_commit_is_announced_and_brings_what_others_have_committed_without_another_statement() {
    let database = Arc::new(TestDatabase::create().await);
    database.log_statements().await;
    let mut sql = database.connect().await;
    let service = Service::on(Arc::clone(&database), &["--poll-ms=60000"]).await;
    let mut stream = service
        .stream("/stream/team", &Token::user("u", &["a"]))
        .await;
    stream.next().await;
    let mut listener = PgListener::connect(&database.url())
        .await
        .expect("connects");
    listener.listen("porchlight").await.expect("listens");
    let other = "insert into porchlight.instances values ('other', now() + interval '1 minute')";
    run(&mut sql, other).await;
    let published = AtomicU64::new(0);
    eventually("it knows of the other instance", async || {
        let n = published.fetch_add(1, Ordering::Relaxed);
        service.publish(&for_team("a", n)).await;
        let statements = database.statements();
        let shared = |s: &&String| s.contains("lateral porchlight.events_before");
        statements.iter().find(shared).map(drop)
    })
    .await;
    let n = published.into_inner();
    let count = usize::try_from(n).expect("a count");
    assert!(numbers(&stream.logged(count).await).into_iter().eq(0..n));
    // Nobody tells the service of these.
    let unheard = vec![numbered("a", 1_001), numbered("a", 1_002)];
    let unheard = append_events(&mut sql, &[(broker(), unheard)]).await;
    let unheard = unheard.expect("appended");
    service.publish(&for_team("a", n)).await;
    assert_eq!(numbers(&stream.logged(3).await), [1_001, 1_002, n]);
    let head = unheard[0].head() + 1;
    let announced = format!("\nb {head}");
    while !listener
        .recv()
        .await
        .expect("a notice")
        .payload()
        .ends_with(&announced)
    {}
    let statements = database.statements();
    let reads = statements
        .iter()
        .filter(|s| s.contains("from porchlight.events_between("));
    assert_eq!(reads.count(), 0);
    let appends = statements
        .iter()
        .filter(|s| s.contains("lateral porchlight.events_before") && s.contains("pg_notify"));
    assert!(appends.count() >= 2);
}

#[tokio::test]
async fn events_published_at_both_at_once_are_the_same_for_everyone() {
    let instances = two(&[]).await;
    let token = Token::user("u", &["a"]);
    let [a, b] = &instances;
    let mut streams = [
        a.stream("/stream/team", &token).await,
        b.stream("/stream/team", &token).await,
    ];
    let publish = async |instance: &Service, from: u64| {
        for n in from..from + 150 {
            let events: Vec<_> = (0..=n % 4).map(|_| for_team("a", n)).collect();
            instance.publish(&json!({"events": events})).await;
        }
    };
    tokio::join!(publish(a, 0), publish(b, 1_000));
    let count = 2 * (0..150).map(|n| 1 + n % 4).sum::<usize>();
    let seen = streams[0].logged(count).await;
    assert_eq!(seen, streams[1].logged(count).await);
    assert_contiguous(&seen);
    for from in [0, 1_000] {
        let of_one = numbers(&seen)
            .into_iter()
            .filter(|n| (from..from + 150).contains(n));
        assert!(of_one.is_sorted());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hops_between_them_misses_nothing_and_gets_nothing_twice() {
    const EVENTS: usize = 1_000;
    let mut chance = Chance::new();
    let instances = two(&[]).await;
    let token = Token::user("u", &["a"]);
    let publishing = async {
        for n in 0..EVENTS {
            let event = for_team("a", n as u64);
            instances[n % 2].publish(&event).await;
        }
    };
    let hopping = async {
        let (mut seen, mut cursor, mut at) = (Vec::new(), "0".to_owned(), 0);
        let mut hops = 0;
        while seen.len() < EVENTS {
            let path = "/stream/team?since=0";
            let mut stream = match &cursor[..] {
                "0" => instances[at].stream(path, &token).await,
                id => instances[at].resume(path, &token, id).await,
            };
            let ready = stream.next().await;
            assert_eq!(ready.name, "stream:ready");
            assert!(cursor == "0" || ready.id == cursor);
            let most = 1 + chance.below(40);
            for message in stream.logged(most.min(EVENTS - seen.len())).await {
                cursor.clone_from(&message.id);
                seen.push(number(&message));
            }
            at = 1 - at;
            hops += 1;
        }
        (seen, hops)
    };
    let ((), (seen, hops)) = tokio::join!(publishing, hopping);
    assert!(seen.into_iter().eq(0..EVENTS as u64));
    assert!(hops > 20);
}

#[tokio::test]
async fn a_cursor_newer_than_an_instance_knows_of_is_taken_at_its_word() {
    let database = Arc::new(TestDatabase::create().await);
    let quick = Service::on(Arc::clone(&database), &["--poll-ms=20"]).await;
    let late = Service::on(Arc::clone(&database), &["--poll-ms=60000"]).await;
    let token = Token::user("u", &["a"]);
    let mut idle = late.stream("/stream/team", &token).await;
    let mut stream = quick.stream("/stream/team", &token).await;
    idle.next().await;
    stream.next().await;
    // There is no notice of this one, and the late instance does not poll.
    let mut connection = database.connect().await;
    let received = [(broker(), vec![numbered("a", 0)])];
    let appended = append_events(&mut connection, &received).await;
    appended.expect("appended");
    let seen = stream.next_logged().await;
    let mut hopped = late.resume("/stream/team", &token, &seen.id).await;
    assert_eq!(hopped.next().await.id, seen.id);
    quick.publish(&for_team("a", 1)).await;
    let next = hopped.next().await;
    assert_eq!((next.position(), number(&next)), (2, 1));
    assert_eq!(numbers(&idle.logged(2).await), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_again_and_again_cost_no_event() {
    let events: u64 = short_or_long(100, 400);
    let instances = two(&["--poll-ms=100"]).await;
    let [a, b] = &instances;
    let token = Token::user("u", &["a"]);
    let mut streams = [
        a.stream("/stream/team?since=0", &token).await,
        b.stream("/stream/team?since=0", &token).await,
    ];
    // A stream that cannot be given a snapshot ends, and is opened again.
    for stream in &mut streams {
        stream.next_state("locks:snapshot").await;
    }
    let done = CancellationToken::new();
    let cutting = cut_connections(&a.database, "true", &done);
    let publish = async |instance: &Service, from: u64| {
        let publisher = Publisher::new(&instance.url(""));
        for n in (from..events).step_by(2) {
            let key = format!("key-{n}");
            publisher.insist(&key, &for_team("a", n)).await;
        }
    };
    let publishing = async {
        tokio::join!(publish(a, 0), publish(b, 1));
        done.cancel();
    };
    let (cuts, ()) = tokio::join!(cutting, publishing);
    assert!(cuts > 25, "only {cuts} connections were cut");
    let count = usize::try_from(events).expect("a count");
    let seen = streams[0].logged(count).await;
    assert_eq!(seen, streams[1].logged(count).await);
    assert_contiguous(&seen);
    let mut all = numbers(&seen);
    all.sort_unstable();
    assert!(all.into_iter().eq(0..events));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_hint_the_other_looks_by_itself() {
    let instances = two(&["--poll-ms=100"]).await;
    let [a, b] = &instances;
    let mut stream = b.stream("/stream/team", &Token::user("u", &["a"])).await;
    stream.next().await;
    let done = CancellationToken::new();
    let cutting_listeners = cut_connections(&a.database, "query ilike 'listen%'", &done);
    let publishing = async {
        for n in 0..30 {
            a.publish(&for_team("a", n)).await;
            assert_eq!(number(&stream.next_logged().await), n);
        }
        done.cancel();
    };
    let (cuts, ()) = tokio::join!(cutting_listeners, publishing);
    assert!(cuts > 0, "nobody listened");
}

#[tokio::test]
async fn what_the_database_prefers_for_its_own_transactions_is_not_for_ours() {
    let database = Arc::new(TestDatabase::create().await);
    let mut sql = database.connect().await;
    for preference in [
        "transaction_isolation = 'serializable'",
        "transaction_read_only = on",
    ] {
        let preferred = format!(
            "do $$ begin execute format('alter database %I set default_{}', current_database()); end $$",
            preference.replace('\'', "''")
        );
        let preferred = sqlx::AssertSqlSafe(preferred);
        sql.execute(preferred).await.expect("a preference");
    }
    let first = Service::on(Arc::clone(&database), &[]).await;
    let second = Service::on(database, &[]).await;
    let publish = async |service: &Service| {
        for n in 0..100 {
            service.publish(&for_team("a", n)).await;
        }
    };
    tokio::join!(
        publish(&first),
        publish(&second),
        publish(&first),
        publish(&second)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_missed_notices_reads_the_logs_once_it_listens_again() {
    // Polling is too slow to find anything.
    let [a, b] = two(&["--poll-ms=60000"]).await;
    let mut stream = b.stream("/stream/team", &Token::user("u", &["a"])).await;
    stream.next().await;
    let done = CancellationToken::new();
    let cutting = cut_connections(&a.database, "query ilike 'listen%'", &done);
    let publishing = async {
        for n in 0..15 {
            a.publish(&for_team("a", n)).await;
            assert_eq!(number(&stream.next_logged().await), n);
        }
        done.cancel();
    };
    tokio::join!(cutting, publishing);
}
