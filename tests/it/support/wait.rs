//! Waiting for conditions, never for time to pass.

use std::future::Future;
use std::time::Duration;

/// Nothing that a test waits for takes longer, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `condition` gives something.
pub async fn eventually<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        if let Some(found) = condition().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < until,
            "waited in vain: {what}"
        );
    }
}

/// The outcome of `future`, which must come in time.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
