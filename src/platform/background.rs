//! Tasks: each has a name, is tracked, and is told when to end. One that ends by itself
//! takes the service with it: half a service is worse than none.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long tasks have to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The tasks of one service.
#[derive(Clone, Debug)]
pub struct BackgroundTasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    ended: watch::Sender<Option<&'static str>>,
}

impl Default for BackgroundTasks {
    fn default() -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            ended: watch::Sender::new(None),
        }
    }
}

/// Says so when a task ends, also by a panic.
struct Watched {
    name: &'static str,
    stop: CancellationToken,
    ended: watch::Sender<Option<&'static str>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            self.ended.send_replace(Some(self.name));
        }
    }
}

impl BackgroundTasks {
    /// Cancelled after every request has been served.
    #[must_use]
    pub fn stop_last(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let watched = Watched {
            name,
            stop: self.stop.clone(),
            ended: self.ended.clone(),
        };
        self.tracker.spawn(async move {
            let _watched = watched;
            task.await;
        });
    }

    /// Waits for a task to end by itself, and names it.
    pub async fn unexpected_end(&self) -> &'static str {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(name) => name.unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Tells every task to end and waits for it, for a while.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(left = self.tracker.len(), "tasks did not end in time");
        }
    }
}
