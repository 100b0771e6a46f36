//! What instances ask of the database while nobody writes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::support::cluster::TestDatabase;
use crate::support::sql::{run, transactions};
use crate::support::{Service, Token};

const STREAMS: usize = 200;
/// Of three instances, which also look for revocations.
const MOST_IN_A_SECOND: f64 = 30.0;
const LOOKS: usize = 5;
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
    let mut rates = Vec::new();
    while rates.last().is_none_or(|rate| *rate >= MOST_IN_A_SECOND) {
        assert!(rates.len() < LOOKS, "transactions in a second: {rates:.1?}");
        let before = transactions(&mut sql).await;
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let used = transactions(&mut sql).await - before;
        let used = u32::try_from(used).expect("a count");
        rates.push(f64::from(used) / began.elapsed().as_secs_f64());
    }
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
