//! Whatever transactions write to the log: positions have no gaps and are in
//! the order of commits, and no reader sees a position before its predecessor.

use std::collections::BTreeMap;

use porchlight::platform::BrokerId;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::appending::{append_events, numbered};
use crate::support::wait::soon;
use crate::support::{Chance, Message, Service, Stream, Token, number};

const WRITERS: usize = 16;
const BROKERS: usize = 200;
const TRANSACTIONS: usize = 40;
const HOT: usize = 0;
/// Brokers whose streams are open meanwhile.
const FOLLOWED: [usize; 5] = [HOT, 1, 2, 3, 99];

fn broker(i: usize) -> BrokerId {
    format!("b{i}").parse().expect("an id")
}

/// One position of one log: broker, position, number, and whether its time is in order.
type Row = (String, i64, i64, bool);

async fn logs(connection: &mut PgConnection) -> Vec<Row> {
    let sql = "select broker_id, position, (data->>'n')::bigint, coalesce(created_at >= \
               lag(created_at) over (partition by broker_id order by position), true) \
               from porchlight.events order by broker_id, position";
    let rows = sqlx::query_as(sql).fetch_all(connection).await;
    rows.expect("the logs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_contiguous_and_in_the_order_of_commits() {
    for _ in 0..3 {
        let mut chance = Chance::new();
        let service = Service::with(&["--poll-ms=50"]).await;
        let options = service.database.options();
        let pool = PgPoolOptions::new().max_connections(20);
        let pool = pool.connect_with(options).await.expect("connections");
        let scratch = "create table scratch (n bigint)";
        sqlx::query(scratch).execute(&pool).await.expect("a table");
        let mut streams = Vec::new();
        for i in FOLLOWED {
            let token = Token::user("u", &["a"]).of(broker(i).as_str());
            streams.push(service.stream("/stream/team?since=0", &token).await);
        }
        let (done, mut writing) = (CancellationToken::new(), JoinSet::new());
        let observing = tokio::spawn(observe(pool.clone(), done.clone()));
        for writer in 0..WRITERS {
            writing.spawn(write(pool.clone(), writer, chance.fork()));
        }
        let committed: Vec<_> = writing.join_all().await.into_iter().flatten().collect();
        done.cancel();
        observing.await.expect("no gap was seen");
        let log = logs(&mut service.database.connect().await).await;
        check(&log, committed);
        for (i, mut stream) in FOLLOWED.into_iter().zip(streams) {
            follow(&log, broker(i).as_str(), &mut stream).await;
        }
    }
}

/// One writer's transactions; gives what was committed: broker, position, number.
async fn write(pool: PgPool, writer: usize, mut chance: Chance) -> Vec<(String, i64, i64)> {
    let mut committed = Vec::new();
    for i in 0..TRANSACTIONS {
        let first = i64::try_from((writer * TRANSACTIONS + i) * 1_000).expect("a number");
        // The hot one or not, and up to three others.
        let others = (0..chance.below(4)).map(|_| chance.below(BROKERS));
        let mut brokers: Vec<_> = others.collect();
        brokers.extend((chance.below(2) == 0).then_some(HOT));
        brokers.sort_unstable();
        brokers.dedup();
        let received: Vec<_> = brokers
            .into_iter()
            .map(|i| {
                let count = 1 + i64::try_from(chance.below(5)).expect("a number");
                let events = (first..first + count).map(|n| numbered("a", n));
                (broker(i), events.collect::<Vec<_>>())
            })
            .collect();
        let mut transaction = pool.begin().await.expect("a transaction");
        let work = "insert into scratch values ($1)";
        let work = sqlx::query(work).bind(first).execute(&mut *transaction);
        work.await.expect("other work");
        dawdle(&mut chance).await;
        let appended = append_events(&mut transaction, &received)
            .await
            .expect("appended");
        dawdle(&mut chance).await;
        if chance.below(5) == 0 {
            transaction.rollback().await.expect("rolled back");
            continue;
        }
        transaction.commit().await.expect("committed");
        for log in appended {
            let numbers = (first..).take(usize::try_from(log.count).expect("a count"));
            let places = (log.first..).zip(numbers);
            committed.extend(places.map(|(at, n)| (log.broker.to_string(), at, n)));
        }
    }
    committed
}

/// Waits a moment, or not.
async fn dawdle(chance: &mut Chance) {
    for _ in 0..chance.below(20) {
        tokio::task::yield_now().await;
    }
}

/// Looks at the logs again and again: every look sees each of them whole up to its end.
async fn observe(pool: PgPool, done: CancellationToken) {
    let sql = "select count(*) from (select broker_id from porchlight.events group by broker_id
               having count(*) <> max(position) or min(position) <> 1) holes";
    loop {
        let holes: i64 = sqlx::query_scalar(sql)
            .fetch_one(&pool)
            .await
            .expect("a look");
        assert_eq!(holes, 0);
        if done.is_cancelled() {
            return;
        }
    }
}

fn check(log: &[Row], committed: Vec<(String, i64, i64)>) {
    let mut next: BTreeMap<&str, i64> = BTreeMap::new();
    for (broker, position, _, is_in_order) in log {
        let expected = next.entry(broker).or_insert(1);
        assert_eq!(position, expected, "in {broker}");
        assert!(
            is_in_order,
            "{broker} {position} is older than the one before"
        );
        *expected += 1;
    }
    let mut committed: Vec<_> = committed;
    committed.sort();
    let logged = log.iter().map(|(b, at, n, _)| (b.clone(), *at, *n));
    assert!(logged.eq(committed), "the log holds what was committed");
}

async fn follow(log: &[Row], broker: &str, stream: &mut Stream) {
    let mine = log.iter().filter(|(b, ..)| b == broker);
    for (_, position, n, _) in mine {
        let message = soon("the next event", stream.next_logged()).await;
        let seen = (message.position(), number(&message));
        assert_eq!(seen, (*position, u64::try_from(*n).expect("a number")));
    }
}

#[tokio::test]
async fn what_another_process_appends_without_a_word_is_seen_by_looking() {
    let service = Service::with(&["--poll-ms=50"]).await;
    let token = Token::user("u", &["a"]);
    let mut stream = service.stream("/stream/team", &token).await;
    stream.next().await;
    let mut connection = service.database.connect().await;
    for n in 0..5 {
        let mut transaction = connection.begin().await.expect("a transaction");
        let received = [("b".parse().expect("an id"), vec![numbered("a", n)])];
        append_events(&mut transaction, &received)
            .await
            .expect("appended");
        transaction.commit().await.expect("committed");
        let seen = stream.next_logged().await;
        assert_eq!(seen.position(), n + 1);
    }
    // More than is read on through memory.
    let many = (5..3_005).map(|n| numbered("a", n)).collect();
    let received = [("b".parse().expect("an id"), many)];
    append_events(&mut connection, &received)
        .await
        .expect("appended");
    let seen = stream.logged(3_000).await;
    let positions = seen.iter().map(Message::position);
    assert!(positions.eq(6..=3_005));
}
