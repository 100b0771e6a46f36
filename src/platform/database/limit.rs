//! How long one waits for the database. Nothing here waits without a limit: a connection that
//! has fallen silent takes statements and never answers.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::silence::Silence;

/// How long an operation may take.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub longest: Duration,
    /// When another connection has been found silent meanwhile.
    pub suspect: Duration,
}

impl Limit {
    /// The small statements of the service's own tasks, which come again soon.
    pub const QUICK: Self = Self::seconds(5, 5);
    /// A transaction of such a task that may be large.
    pub const PATIENT: Self = Self::seconds(60, 10);
    /// What a request does with a connection. It is more than any one statement may take.
    pub const REQUEST: Self = Self::seconds(25, 8);
    /// What is done now and then, and in many steps.
    pub const HOUSEKEEPING: Self = Self::seconds(600, 10);
    /// An import: all of its rows may be one transaction.
    pub const IMPORT: Self = Self::seconds(3_600, 30);

    const fn seconds(longest: u64, suspect: u64) -> Self {
        Self {
            longest: Duration::from_secs(longest),
            suspect: Duration::from_secs(suspect),
        }
    }

    /// Waits for `operation`, which begins now, but not beyond the limit.
    pub(super) async fn keep<T>(
        self,
        silence: &Silence,
        operation: impl Future<Output = T>,
    ) -> sqlx::Result<T> {
        let began = Instant::now();
        let suspected = async {
            silence.noticed_since(began).await;
            sleep_until(began + self.suspect).await;
        };
        tokio::select! {
            biased;
            outcome = operation => return Ok(outcome),
            () = sleep_until(began + self.longest) => {}
            () = suspected => {}
        }
        silence.notice(began);
        Err(timed_out())
    }
}

/// Nobody knows whether what was asked for has happened.
pub(super) fn timed_out() -> sqlx::Error {
    let kind = io::ErrorKind::TimedOut;
    sqlx::Error::Io(io::Error::new(kind, "no answer within the time limit"))
}

/// Whether that is what went wrong.
pub(super) fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// When the work at hand last got a connection from a pool, and what is known of the database.
#[derive(Default)]
struct Used(Mutex<Option<(Instant, Silence)>>);

impl Used {
    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Silence)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

tokio::task_local! {
    // Work that is not limited here has a limit of its own, or needs none.
    static USED: Arc<Used>;
}

/// The work at hand waits for a connection. That has a limit of its own, and says nothing of the
/// database: all connections may be in use.
pub(super) fn note_wait() {
    let _ = USED.try_with(|used| *used.lock() = None);
}

/// The work at hand has got one.
pub(super) fn note_use(silence: &Silence) {
    let _ = USED.try_with(|used| *used.lock() = Some((Instant::now(), silence.clone())));
}

/// Does `work`, which may use pools, and gives it up when it has not ended `limit` after it last
/// got a connection from one. What it does before that has no limit.
pub async fn limited<T, E: From<sqlx::Error>>(
    limit: Limit,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let used = Arc::<Used>::default();
    let mut work = pin!(USED.scope(Arc::clone(&used), work));
    let mut timer = pin!(sleep_until(Instant::now()));
    poll_fn(|context| {
        if let Poll::Ready(outcome) = work.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        let used = used.lock();
        let Some((began, silence)) = &*used else {
            return Poll::Pending;
        };
        loop {
            match limit.next_look(*began, silence) {
                None => {
                    silence.notice(*began);
                    return Poll::Ready(Err(timed_out().into()));
                }
                Some(at) if timer.deadline() != at => timer.as_mut().reset(at),
                Some(_) => {}
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// How exactly the limit of suspect work is kept.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Limit {
    /// When to look again at work that began at `began`; none when its time is over.
    fn next_look(self, began: Instant, silence: &Silence) -> Option<Instant> {
        let (now, end) = (Instant::now(), began + self.longest);
        let suspect_from = began + self.suspect;
        if now >= end || now >= suspect_from && silence.is_noticed_since(began) {
            return None;
        }
        Some(suspect_from.max(now + LOOK_EVERY).min(end))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SHORT: Limit = Limit {
        longest: Duration::from_millis(40),
        suspect: Duration::from_millis(5),
    };
    const LONG: Limit = Limit {
        longest: Duration::from_hours(1),
        ..SHORT
    };

    fn is_timeout<T>(outcome: sqlx::Result<T>) -> bool {
        outcome.is_err_and(|error| super::is_timeout(&error))
    }

    async fn noticed_soon(silence: &Silence) {
        tokio::time::sleep(SHORT.suspect * 2).await;
        silence.notice(Instant::now());
    }

    #[tokio::test]
    async fn what_gets_no_answer_is_given_up_and_others_learn_of_it() {
        let silence = Silence::default();
        let began = Instant::now();
        assert_eq!(SHORT.keep(&silence, ready(7)).await.unwrap(), 7);
        assert!(!silence.is_noticed_since(began));
        assert!(is_timeout(SHORT.keep(&silence, pending::<()>()).await));
        assert!(began.elapsed() >= SHORT.longest);
        assert!(silence.is_noticed_since(began));
    }

    #[tokio::test]
    async fn what_is_suspect_is_given_up_sooner() {
        let silence = Silence::default();
        let kept = LONG.keep(&silence, pending::<()>());
        let (kept, ()) = tokio::join!(kept, noticed_soon(&silence));
        assert!(is_timeout(kept));
        // What begins after the notice is not.
        let kept = LONG.keep(&silence, tokio::time::sleep(SHORT.suspect * 4));
        assert!(kept.await.is_ok());
    }

    #[tokio::test]
    async fn work_is_limited_from_its_last_use_of_a_pool() {
        let silence = Silence::default();
        let asks = async |times: u32| {
            for _ in 0..times {
                note_use(&silence);
                tokio::time::sleep(SHORT.longest / 2).await;
            }
            Ok::<_, sqlx::Error>(())
        };
        assert!(limited(SHORT, asks(4)).await.is_ok());
        let stuck = async {
            asks(1).await?;
            note_use(&silence);
            pending::<sqlx::Result<()>>().await
        };
        let began = Instant::now();
        assert!(is_timeout(limited(SHORT, stuck).await));
        assert!(silence.is_noticed_since(began));
    }

    #[tokio::test]
    async fn work_without_a_pool_has_no_limit() {
        let silence = Silence::default();
        let waits = async {
            tokio::time::sleep(SHORT.longest * 2).await;
            // Nor while it waits for a connection.
            note_use(&silence);
            note_wait();
            tokio::time::sleep(SHORT.longest * 2).await;
            Ok::<_, sqlx::Error>(())
        };
        assert!(limited(SHORT, waits).await.is_ok());
        // Nor does what has a limit of its own count for what is around it.
        let nested = async {
            let inner = async {
                note_use(&silence);
                Ok::<_, sqlx::Error>(())
            };
            limited(SHORT, inner).await?;
            tokio::time::sleep(SHORT.longest * 2).await;
            Ok::<_, sqlx::Error>(())
        };
        assert!(limited(SHORT, nested).await.is_ok());
    }

    #[tokio::test]
    async fn suspect_work_is_given_up_sooner() {
        let silence = Silence::default();
        let stuck = async {
            note_use(&silence);
            pending::<sqlx::Result<()>>().await
        };
        let (stuck, ()) = tokio::join!(limited(LONG, stuck), noticed_soon(&silence));
        assert!(is_timeout(stuck));
    }
}
