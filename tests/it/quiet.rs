//! What instances ask of the database while nobody writes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::support::cluster::TestDatabase;
use crate::support::sql::{run, transactions};
use crate::support::{Service, Token};

const STREAMS: usize = 200;
/// Of three instances, which also look for revocations.
const MOST_IN_A_SECOND: f64 = 30.0;
const LOOKS: usize = 5;
const MEASURED: Duration = Duration::from_secs(4);
/// Of one instance that is alone, has no streams, and runs the worker. It used 11 while each loop looked every second, and
/// the worker more often.
const MOST_ALONE: f64 = 8.0;
/// They had 84 while each background task kept its own.
const MOST_CONNECTIONS: i64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_instances_at_rest_use_few_transactions_and_connections() {
    let database = Arc::new(TestDatabase::create().await);
    let starting = (0..3).map(|_| Service::on(Arc::clone(&database), &[]));
    let instances = join_all(starting).await;
    let mut sql = database.connect().await;
    run(
        &mut sql,
        "create table public.cars (id text primary key, broker text)",
    )
    .await;
    let watch =
        "select porchlight.watch('public.cars', module => 'cars', broker_column => 'broker')";
    run(&mut sql, watch).await;
    let tokens: Vec<_> = (0..STREAMS)
        .map(|i| Token::user(&format!("u{i}"), &["a"]))
        .collect();
    let opening = tokens.iter().enumerate().map(async |(i, token)| {
        let mut stream = instances[i % 3].stream("/stream", token).await;
        stream.next_state("presence:snapshot").await;
        stream
    });
    let streams = join_all(opening).await;
    // On a busy machine it takes a while until the arrival of the streams is over.
    until_quiet(&mut sql, MOST_IN_A_SECOND).await;
    let connections = "select count(*) from pg_stat_activity
                       where datname = current_database() and application_name = 'porchlight'";
    let connections = sqlx::query_scalar::<_, i64>(connections);
    let connections = connections.fetch_one(&mut sql).await.expect("a count");
    assert!(
        connections <= MOST_CONNECTIONS,
        "connections: {connections}"
    );
    drop(streams);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_alone_and_without_streams_rests() {
    let database = Arc::new(TestDatabase::create().await);
    let mut sql = database.connect().await;
    let service = Service::on(database, &[]).await;
    until_quiet(&mut sql, MOST_ALONE).await;
    drop(service);
}

/// Looks a few times, until there are so few transactions in a second.
async fn until_quiet(sql: &mut PgConnection, most: f64) {
    let mut rates = Vec::new();
    while rates.last().is_none_or(|rate| *rate >= most) {
        assert!(rates.len() < LOOKS, "transactions in a second: {rates:.1?}");
        let (before, began) = (transactions(sql).await, Instant::now());
        tokio::time::sleep(MEASURED).await;
        let used = transactions(sql).await - before;
        let used = u32::try_from(used).expect("a count");
        rates.push(f64::from(used) / began.elapsed().as_secs_f64());
    }
}
