//! Handlers carry out tasks of one type.

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
    /// The worker stopped before the end. Another worker goes on.
    Interrupted,
    /// The lease was lost, so there is nothing to report.
    Lost,
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
