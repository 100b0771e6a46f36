//! What a type of task asks of who does it.

use std::pin::Pin;

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::identity::Caller;
use crate::platform::TaskType;
use crate::tasks::{Fault, LeaseClaim, Outcome};

/// A task to be done.
#[derive(Debug)]
pub struct Job {
    /// The hold on it, which comes with every report.
    pub holding: LeaseClaim,
    /// Whom it is done for, with the rights of the request.
    pub caller: Caller,
    pub params: Option<Box<RawValue>>,
    /// The worker stops: end soon, where another one can go on.
    pub stop: CancellationToken,
}

#[derive(Debug)]
pub enum End {
    With(Outcome),
    /// The worker stopped first: another one goes on.
    Interrupted,
    /// The task is another worker's by now, or over. Nothing more is said of it.
    Lost,
}

/// Who does tasks of a type.
pub trait Handler: Send + Sync {
    fn task_type(&self) -> TaskType;

    /// Does one. What is done when this is dropped half way must be no harm to who goes on.
    fn run(&self, job: Job) -> Pin<Box<dyn Future<Output = End> + Send + '_>>;
}

/// Characters of a sentence in a fault.
const SENTENCE_CHARS: usize = 1_000;

/// Why a task could not be done. What is too long for a message is cut.
#[must_use]
pub fn fault(code: &'static str, sentence: &str, retryable: bool) -> Fault {
    let plain = |c: char| if c == '\0' { ' ' } else { c };
    let words: String = sentence.chars().take(SENTENCE_CHARS).map(plain).collect();
    Fault {
        code: code.parse().expect("codes are short words"),
        message: words.try_into().expect("sentences say something"),
        retryable,
    }
}
