//! Who may see a record.
//!
//! The log knows: whoever was told of a record last, a team or the whole broker, may see
//! it. A record that the log has never heard of is anybody's of the broker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::database::{Limit, Pool, limited};
use crate::event::Audience;
use crate::event_log::records;
use crate::identity::Caller;
use crate::ids::{BrokerId, RecordPath};

pub mod rights;

/// How long an answer is taken for true where a moment does not matter.
const FRESH: Duration = Duration::from_secs(15);
/// Answers that are remembered; then all of them are forgotten.
const MOST_ANSWERS: usize = 20_000;
/// Questions that may wait, and how many one query answers.
const WAITING_QUESTIONS: usize = 8_192;
const MOST_AT_ONCE: usize = 1_000;
/// From one query to the next.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a record cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is none of the caller's, or there is none: the same to them.
    #[error("there is no record {0} that you may see")]
    Unknown(RecordPath),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// Nor did it in time, or too many ask.
    #[error("nobody can tell at the moment who may see the record")]
    Unavailable,
}

/// Whom a record is shown to, if the caller is among them.
pub async fn audience_for(
    connection: &mut PgConnection,
    caller: &Caller,
    record: &RecordPath,
) -> Result<Audience, RecordError> {
    let audience = records::audience(connection, &caller.broker, record).await?;
    for_caller(caller, record, audience.unwrap_or(Audience::Broker))
}

fn for_caller(
    caller: &Caller,
    record: &RecordPath,
    audience: Audience,
) -> Result<Audience, RecordError> {
    match &audience {
        Audience::Team(team) if !caller.is_on(team) => Err(RecordError::Unknown(record.clone())),
        _ => Ok(audience),
    }
}

/// Everyone who may notice what a user does with a record that is shown to `audience`: those
/// people, and the user's own devices.
#[must_use]
pub fn onlookers(caller: &Caller, audience: &Audience) -> Arc<[Audience]> {
    let mut onlookers = vec![Audience::User(caller.user.clone()), audience.clone()];
    if *audience == Audience::Broker {
        onlookers.extend(caller.teams.iter().cloned().map(Audience::Team));
    }
    onlookers.into()
}

type Key = (BrokerId, RecordPath);
type Answers = FxHashMap<Key, (Audience, Instant)>;

struct Question {
    key: Key,
    answer: oneshot::Sender<Audience>,
}

/// Answers of a moment ago, for what is asked again and again. What is not known is asked for
/// many at once.
#[derive(Clone)]
pub struct RecordBook {
    answers: Arc<Mutex<Answers>>,
    questions: mpsc::Sender<Question>,
}

impl RecordBook {
    /// An empty book, and the task that fills it.
    pub fn new(pool: Pool, stop: CancellationToken) -> (Self, impl Future<Output = ()>) {
        let answers = Arc::<Mutex<Answers>>::default();
        let (questions, asked) = mpsc::channel(WAITING_QUESTIONS);
        let book = Self { answers, questions };
        (book.clone(), book.answer_all(asked, (pool, stop)))
    }

    /// Whom a record is shown to, if the caller is among them.
    pub async fn audience_for(
        &self,
        caller: &Caller,
        record: &RecordPath,
    ) -> Result<Audience, RecordError> {
        let key = (caller.broker.clone(), record.clone());
        let audience = match self.known(&key) {
            Some(audience) => audience,
            None => self.ask(key).await?,
        };
        for_caller(caller, record, audience)
    }

    fn known(&self, key: &Key) -> Option<Audience> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (audience, at) = answers.get(key)?;
        (at.elapsed() < FRESH).then(|| audience.clone())
    }

    async fn ask(&self, key: Key) -> Result<Audience, RecordError> {
        let (answer, answered) = oneshot::channel();
        let question = Question { key, answer };
        let asked = self.questions.try_send(question);
        asked.map_err(|_| RecordError::Unavailable)?;
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(audience)) => Ok(audience),
            _ => Err(RecordError::Unavailable),
        }
    }

    /// At once where it is quiet, and never more often than every [`PAUSE`].
    async fn answer_all(
        self,
        mut asked: mpsc::Receiver<Question>,
        (pool, stop): (Pool, CancellationToken),
    ) {
        let mut questions = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                n = asked.recv_many(&mut questions, MOST_AT_ONCE) => if n == 0 { return },
            }
            if let Err(error) = self.answer(&pool, std::mem::take(&mut questions)).await {
                tracing::warn!(%error, "cannot tell who may see a record");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn answer(&self, pool: &Pool, questions: Vec<Question>) -> sqlx::Result<()> {
        let keys: Vec<_> = questions.iter().map(|q| q.key.clone()).collect();
        let audiences = limited(Limit::QUICK, async {
            let mut connection = pool.acquire().await?;
            records::audiences(&mut connection, &keys).await
        });
        let audiences = audiences.await?;
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST_ANSWERS {
            answers.clear();
        }
        for (question, audience) in questions.into_iter().zip(audiences) {
            let audience = audience.unwrap_or(Audience::Broker);
            answers.insert(question.key, (audience.clone(), Instant::now()));
            // Nobody may be waiting any more.
            let _ = question.answer.send(audience);
        }
        Ok(())
    }
}
