//! Who may see a record.
//!
//! The log knows: whoever was told of a record last, a team or the whole broker, may see
//! it. A record that the log has never heard of is anybody's of the broker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::identity::Caller;
use crate::log::records;
use crate::log::{Audience, Event, Shown};
use crate::platform::database::limited;
use crate::platform::{BrokerId, RecordPath};
use crate::platform::{Limit, Pool};

mod answers;
use answers::{Answers, AudienceKey};

/// How long an answer is taken for true that no event has changed. Events change answers at once;
/// this is for the case that this instance hears nothing of one.
const FRESH: Duration = Duration::from_secs(15);
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

struct AudienceQuestion {
    key: AudienceKey,
    answer: oneshot::Sender<Shown>,
}

/// Answers of a moment ago, for what is asked again and again. What is not known is asked for
/// many at once.
#[derive(Clone)]
pub struct RecordAudiences {
    answers: Arc<Mutex<Answers>>,
    questions: mpsc::Sender<AudienceQuestion>,
}

impl RecordAudiences {
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
        let shown = self.shown(key).await?;
        for_caller(caller, record, shown.audience)
    }

    async fn shown(&self, key: AudienceKey) -> Result<Shown, RecordError> {
        match self.known(&key) {
            Some(shown) => Ok(shown),
            None => self.ask(key).await,
        }
    }

    /// Whom records of a broker are shown to, as far as that can be told now.
    pub async fn all_shown(
        &self,
        broker: &BrokerId,
        records: Vec<RecordPath>,
    ) -> FxHashMap<RecordPath, Shown> {
        let answers = records.into_iter().map(async |record| {
            let shown = self.shown((broker.clone(), record.clone())).await;
            Some((record, shown.ok()?))
        });
        let answers = futures_util::future::join_all(answers).await;
        answers.into_iter().flatten().collect()
    }

    /// These events are in a broker's log. Gives who sees their records by now.
    #[must_use]
    pub fn saw(&self, broker: &BrokerId, events: &[Event]) -> FxHashMap<RecordPath, Shown> {
        self.answers().saw(broker, events, Instant::now())
    }

    /// A broker's log went on by events that nobody here reads.
    pub fn missed(&self, broker: &BrokerId) {
        self.answers().missed(broker);
    }

    /// The same may be true of any log.
    pub fn missed_any(&self) {
        self.answers().missed_any();
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, key: &AudienceKey) -> Option<Shown> {
        self.answers().get(key, Instant::now())
    }

    async fn ask(&self, key: AudienceKey) -> Result<Shown, RecordError> {
        let (answer, answered) = oneshot::channel();
        let question = AudienceQuestion { key, answer };
        let asked = self.questions.try_send(question);
        asked.map_err(|_| RecordError::Unavailable)?;
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(shown)) => Ok(shown),
            _ => Err(RecordError::Unavailable),
        }
    }

    /// At once where it is quiet, and never more often than every [`PAUSE`].
    async fn answer_all(
        self,
        mut asked: mpsc::Receiver<AudienceQuestion>,
        (pool, stop): (Pool, CancellationToken),
    ) {
        let mut questions = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                n = asked.recv_many(&mut questions, MOST_AT_ONCE) => if n == 0 { return },
            }
            if let Err(error) = self.answer(&pool, std::mem::take(&mut questions)).await {
                self.answers().end_query();
                tracing::warn!(%error, "cannot tell who may see a record");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn answer(&self, pool: &Pool, questions: Vec<AudienceQuestion>) -> sqlx::Result<()> {
        let keys: Vec<_> = questions.iter().map(|q| q.key.clone()).collect();
        let found = limited(Limit::QUICK, async {
            let mut connection = pool.acquire().await?;
            // From here on events are newer than what the query finds, or known to it.
            self.answers().ask(keys.iter().cloned());
            records::audiences(&mut connection, &keys).await
        });
        let found = found.await?;
        let (mut answers, now) = (self.answers(), Instant::now());
        for (question, found) in questions.into_iter().zip(found) {
            let shown = answers.found(question.key, found, now);
            // Nobody may be waiting any more.
            let _ = question.answer.send(shown);
        }
        answers.end_query();
        Ok(())
    }
}
