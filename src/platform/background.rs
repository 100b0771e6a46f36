//! Background tasks. Each has a name, is tracked, and ends when it is told to. A task that ends by
//! itself stops the service: half a service is worse than none.

use std::fmt::Display;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::telemetry::log_context::{LogContext, within};

/// How long `stop` waits for the tasks.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A background task that has not been spawned. Modules return it beside their handle.
pub struct BackgroundTask {
    name: &'static str,
    run: Run,
}

impl BackgroundTask {
    /// The name appears in the log, and in the error if the task ends by itself.
    pub fn new(name: &'static str, run: impl Future<Output = ()> + Send + 'static) -> Self {
        let run = Box::pin(run);
        Self { name, run }
    }
}

impl IntoFuture for BackgroundTask {
    type Output = ();
    type IntoFuture = Run;

    fn into_future(self) -> Run {
        self.run
    }
}

/// What its log lines tell of a task.
#[derive(Debug)]
struct TaskContext {
    name: &'static str,
    instance: Arc<str>,
}

impl LogContext for TaskContext {
    fn name(&self) -> &'static str {
        "background"
    }

    fn fields(&self, put: &mut dyn FnMut(&str, &dyn Display)) {
        put("task", &self.name);
        put("instance", &self.instance);
    }
}

#[derive(Clone, Debug)]
pub struct BackgroundTasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    ended: watch::Sender<Option<&'static str>>,
    instance: Arc<str>,
}

/// Reports the end of a task when it is dropped, even by a panic.
struct EndGuard {
    name: &'static str,
    stop: CancellationToken,
    ended: watch::Sender<Option<&'static str>>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            self.ended.send_replace(Some(self.name));
        }
    }
}

impl BackgroundTasks {
    /// No tasks yet. Their log lines name the instance.
    #[must_use]
    pub fn new(instance: impl Into<Arc<str>>) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            ended: watch::Sender::new(None),
            instance: instance.into(),
        }
    }

    /// The name of this instance of the service.
    #[must_use]
    pub fn instance(&self) -> &Arc<str> {
        &self.instance
    }

    /// Cancelled after every request has been served.
    #[must_use]
    pub fn stop_last(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub fn spawn(&self, task: BackgroundTask) {
        let BackgroundTask { name, run } = task;
        let guard = EndGuard {
            name,
            stop: self.stop.clone(),
            ended: self.ended.clone(),
        };
        let instance = Arc::clone(&self.instance);
        let context = Arc::new(TaskContext { name, instance });
        let task = async move {
            let _guard = guard;
            run.await;
        };
        self.tracker.spawn(within(context, task));
    }

    /// Waits until a task ends by itself, and returns its name.
    pub async fn unexpected_end(&self) -> &'static str {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(name) => name.unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Signals all tasks to stop, and waits for them with a limit.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = self.tracker.len(),
                "background tasks did not end in time"
            );
        }
    }
}
