//! Who may see a record.
//!
//! The log knows: whoever was told of a record last, a team or the whole broker, may see
//! it. A record that the log has never heard of is anybody's of the broker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;

use crate::event::Audience;
use crate::event_log::records;
use crate::identity::Caller;
use crate::ids::{BrokerId, RecordPath};

/// How long an answer is taken for true where a moment does not matter.
const FRESH: Duration = Duration::from_secs(5);
/// Answers that are remembered; then all of them are forgotten.
const MOST_ANSWERS: usize = 20_000;

/// Why a record cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is none of the caller's, or there is none: the same to them.
    #[error("there is no record {0} that you may see")]
    Unknown(RecordPath),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
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

type Answers = FxHashMap<(BrokerId, RecordPath), (Audience, Instant)>;

/// Answers of a moment ago, for what is asked again and again.
#[derive(Clone, Debug)]
pub struct RecordBook {
    pool: PgPool,
    answers: Arc<Mutex<Answers>>,
}

impl RecordBook {
    /// An empty book.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let answers = Arc::default();
        Self { pool, answers }
    }

    /// Whom a record is shown to, if the caller is among them.
    pub async fn audience_for(
        &self,
        caller: &Caller,
        record: &RecordPath,
    ) -> Result<Audience, RecordError> {
        let key = (caller.broker.clone(), record.clone());
        let known = self.known(&key);
        let audience = match known {
            Some(audience) => audience,
            None => self.ask(key).await?,
        };
        for_caller(caller, record, audience)
    }

    fn known(&self, key: &(BrokerId, RecordPath)) -> Option<Audience> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (audience, at) = answers.get(key)?;
        (at.elapsed() < FRESH).then(|| audience.clone())
    }

    async fn ask(&self, key: (BrokerId, RecordPath)) -> sqlx::Result<Audience> {
        let mut connection = self.pool.acquire().await?;
        let audience = records::audience(&mut connection, &key.0, &key.1).await?;
        let audience = audience.unwrap_or(Audience::Broker);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST_ANSWERS {
            answers.clear();
        }
        answers.insert(key, (audience.clone(), Instant::now()));
        Ok(audience)
    }
}
