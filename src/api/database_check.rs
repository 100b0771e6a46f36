//! Whether the database answers. Anybody may ask whether the service is ready, as often as they like: those who ask at the
//! same time, or soon after each other, share one query.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::platform::Pool;

/// How long the database may take to answer, and how long a request waits for the query of another one.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_millis(500);

/// The last answer, and who asks for the next one.
#[derive(Debug, Default)]
pub struct DatabaseCheck(Mutex<Option<CheckedDatabase>>);

#[derive(Clone, Copy, Debug)]
struct CheckedDatabase {
    answers: bool,
    until: Instant,
}

impl DatabaseCheck {
    /// Whether the database gives this pool a connection and answers in time, and is migrated.
    pub(super) async fn answers(&self, pool: &Pool) -> bool {
        let Ok(mut last) = timeout(DATABASE_TIMEOUT, self.0.lock()).await else {
            return false;
        };
        if let Some(last) = last.filter(|last| Instant::now() < last.until) {
            return last.answers;
        }
        let answers = timeout(DATABASE_TIMEOUT, is_migrated(pool)).await;
        let answers = matches!(answers, Ok(Ok(())));
        let until = Instant::now() + KEPT_FOR;
        *last = Some(CheckedDatabase { answers, until });
        answers
    }
}

/// Reads a table of ours. That fails without a database and without migrations.
async fn is_migrated(pool: &Pool) -> sqlx::Result<()> {
    let query = sqlx::query_scalar!(r#"select count(*) as "n!" from porchlight.origin"#);
    let mut connection = pool.acquire().await?;
    query.fetch_one(&mut *connection).await.map(drop)
}
