//! Several instances around one database.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Service;
use super::cluster::TestDatabase;

/// Two instances with these flags.
pub async fn two(flags: &[&str]) -> [Service; 2] {
    let database = Arc::new(TestDatabase::create().await);
    let first = Service::on(Arc::clone(&database), flags).await;
    [first, Service::on(database, flags).await]
}

/// Cuts the service's connections that meet `condition`, until it is done; gives how many.
pub async fn cut_connections(
    database: &TestDatabase,
    condition: &'static str,
    done: &CancellationToken,
) -> usize {
    let mut connection = database.connect().await;
    let sql = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'porchlight' and {condition}"
    );
    let mut rhythm = tokio::time::interval(Duration::from_millis(100));
    // On a slow machine, there must be time for some work between two cuts.
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cuts = 0;
    while !done.is_cancelled() {
        rhythm.tick().await;
        let cut = connection.fetch_all(AssertSqlSafe(sql.clone())).await;
        cuts += cut.expect("connections to cut").len();
    }
    cuts
}
