//! How the database and the pools are doing.

use std::time::Duration;

use sqlx::PgConnection;

use super::pool::Pool;

/// What the server says of itself.
#[derive(Clone, Debug)]
pub struct DatabaseFigures {
    pub version: String,
    pub bytes: i64,
    /// Connections to this database, also of others.
    pub connections: i64,
    pub most_connections: i32,
}

/// The connections of one pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolFigures {
    pub open: usize,
    pub idle: usize,
    pub most: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// How long the oldest of them has waited.
    pub oldest_wait: Duration,
    /// Requests and tasks that got no connection, since the start.
    pub failures: u64,
}

impl DatabaseFigures {
    pub async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        sqlx::query_as!(
            Self,
            r#"select current_setting('server_version') as "version!",
                   pg_database_size(current_database()) as "bytes!",
                   (select count(*) from pg_stat_activity where datname = current_database())
                       as "connections!",
                   current_setting('max_connections')::int as "most_connections!""#
        )
        .fetch_one(connection)
        .await
    }
}

impl Pool {
    #[must_use]
    pub fn figures(&self) -> PoolFigures {
        let pool = self.plain();
        PoolFigures {
            open: usize::try_from(pool.size()).unwrap_or(usize::MAX),
            idle: pool.num_idle(),
            most: usize::try_from(self.max_connections()).unwrap_or(usize::MAX),
            waiting: self.waiting(),
            oldest_wait: self.oldest_wait(),
            failures: self.failures(),
        }
    }
}
