//! Handlers carry out tasks of one type.

use std::fmt;
use std::pin::Pin;

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::identity::Caller;
use crate::platform::TaskType;
use crate::tasks::{LeaseClaim, TaskFault, TaskOutcome};

/// A claimed task, as its handler receives it.
#[derive(Debug)]
pub struct Job {
    /// Every report names the lease.
    pub lease: LeaseClaim,
    /// The user who requested the task, with the rights of the request.
    pub caller: Caller,
    pub params: Option<Box<RawValue>>,
    /// Cancelled when the worker stops. The handler ends soon, where another worker can go on.
    pub stop: CancellationToken,
}

#[derive(Debug)]
pub enum JobEnd {
    With(TaskOutcome),
    /// With an outcome, and with work that is left when the outcome has been stored.
    WithCleanup(TaskOutcome, Cleanup),
    /// The worker stopped before the end. Another worker goes on.
    Interrupted,
    /// The lease was lost, so there is nothing to report.
    Lost,
}

/// Removes what another attempt would need. So it runs only when no other attempt can follow, or never, if the process
/// ends before.
pub struct Cleanup(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Cleanup {
    pub fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(work))
    }

    pub(super) async fn run(self) {
        self.0.await;
    }
}

impl fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cleanup").finish_non_exhaustive()
    }
}

pub trait Handler: Send + Sync {
    fn task_type(&self) -> TaskType;

    /// Carries out a task. It may be dropped at any point: another worker must then be able to go on.
    fn run(&self, job: Job) -> Pin<Box<dyn Future<Output = JobEnd> + Send + '_>>;
}

/// Characters of the message of a fault.
const SENTENCE_CHARS: usize = 1_000;

/// Why a task failed. A sentence that is too long is cut.
#[must_use]
pub fn fault(code: &'static str, sentence: &str, retryable: bool) -> TaskFault {
    let plain = |c: char| if c == '\0' { ' ' } else { c };
    let message: String = sentence.chars().take(SENTENCE_CHARS).map(plain).collect();
    TaskFault {
        code: code.parse().expect("a valid code"),
        message: message.try_into().expect("a sentence is not empty"),
        retryable,
    }
}
