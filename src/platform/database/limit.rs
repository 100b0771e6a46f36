//! Time limits for the database. Nothing waits without a limit: a silent connection accepts statements and
//! never answers.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::silence::Silence;

#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub longest: Duration,
    /// The limit when another connection has become silent meanwhile.
    pub suspect: Duration,
}

impl Limit {
    /// Small statements of background tasks, which are soon repeated.
    pub const QUICK: Self = Self::seconds(5, 5);
    /// A look at how things are, for somebody who waits for it.
    pub const LOOK: Self = Self::seconds(2, 1);
    /// Transactions of background tasks that may be large.
    pub const PATIENT: Self = Self::seconds(60, 10);
    /// The use of a connection by a request. It is longer than the limit of a statement.
    pub const REQUEST: Self = Self::seconds(25, 8);
    /// A statement that has ten minutes, and would begin again if it was given up.
    pub const LONG_STATEMENT: Self = Self::seconds(660, 120);
    /// Rare work in many steps.
    pub const HOUSEKEEPING: Self = Self::seconds(600, 10);
    /// An import, whose rows may be one transaction.
    pub const IMPORT: Self = Self::seconds(3_600, 30);

    /// The same while other connections become silent.
    #[must_use]
    pub const fn undisturbed(self) -> Self {
        Self {
            suspect: self.longest,
            ..self
        }
    }

    const fn seconds(longest: u64, suspect: u64) -> Self {
        Self {
            longest: Duration::from_secs(longest),
            suspect: Duration::from_secs(suspect),
        }
    }

    /// Waits for `operation` within the limit.
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

/// The operation may have happened or not.
pub(super) fn timed_out() -> sqlx::Error {
    let kind = io::ErrorKind::TimedOut;
    sqlx::Error::Io(io::Error::new(kind, "no answer within the time limit"))
}

pub(super) fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// The last connection that the current work got from a pool.
#[derive(Default)]
struct LastUse(Mutex<Option<PoolUse>>);

struct PoolUse {
    began: Instant,
    silence: Silence,
}

impl LastUse {
    fn lock(&self) -> MutexGuard<'_, Option<PoolUse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

tokio::task_local! {
    // Set within `limited`. Other work has a limit of its own, or needs none.
    static LAST_USE: Arc<LastUse>;
}

/// The current work waits for a connection. The wait has a limit of its own, and it does not mean that
/// the database is silent: all connections may be in use.
pub(super) fn note_wait() {
    let _ = LAST_USE.try_with(|last| *last.lock() = None);
}

/// The current work has got a connection.
pub(super) fn note_use(silence: &Silence) {
    let _ = LAST_USE.try_with(|last| {
        *last.lock() = Some(PoolUse {
            began: Instant::now(),
            silence: silence.clone(),
        });
    });
}

/// Runs `work`, which may use pools. The limit runs from the last time that the work got a connection.
/// Before that it has no limit.
pub async fn limited<T, E: From<sqlx::Error>>(
    limit: Limit,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let last = Arc::<LastUse>::default();
    let mut work = pin!(LAST_USE.scope(Arc::clone(&last), work));
    let mut timer = pin!(sleep_until(Instant::now()));
    poll_fn(|context| {
        if let Poll::Ready(outcome) = work.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        let last = last.lock();
        let Some(PoolUse { began, silence }) = &*last else {
            return Poll::Pending;
        };
        loop {
            match limit.next_check(*began, silence) {
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

/// How often suspect work is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

impl Limit {
    /// When to check work again that began at `began`; none when its limit is reached.
    fn next_check(self, began: Instant, silence: &Silence) -> Option<Instant> {
        let (now, end) = (Instant::now(), began + self.longest);
        let suspect_from = began + self.suspect;
        if now >= end || now >= suspect_from && silence.is_noticed_since(began) {
            return None;
        }
        Some(suspect_from.max(now + CHECK_INTERVAL).min(end))
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
    async fn an_operation_without_an_answer_ends_and_the_silence_is_noted() {
        let silence = Silence::default();
        let began = Instant::now();
        assert_eq!(SHORT.keep(&silence, ready(7)).await.unwrap(), 7);
        assert!(!silence.is_noticed_since(began));
        assert!(is_timeout(SHORT.keep(&silence, pending::<()>()).await));
        assert!(began.elapsed() >= SHORT.longest);
        assert!(silence.is_noticed_since(began));
    }

    #[tokio::test]
    async fn a_suspect_operation_ends_sooner() {
        let silence = Silence::default();
        let kept = LONG.keep(&silence, pending::<()>());
        let (kept, ()) = tokio::join!(kept, noticed_soon(&silence));
        assert!(is_timeout(kept));
        // An operation that begins after the notice is not suspect.
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
            // The wait for a connection does not count either.
            note_use(&silence);
            note_wait();
            tokio::time::sleep(SHORT.longest * 2).await;
            Ok::<_, sqlx::Error>(())
        };
        assert!(limited(SHORT, waits).await.is_ok());
        // Work with a limit of its own does not count for the work around it.
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
    async fn suspect_work_ends_sooner() {
        let silence = Silence::default();
        let stuck = async {
            note_use(&silence);
            pending::<sqlx::Result<()>>().await
        };
        let (stuck, ()) = tokio::join!(limited(LONG, stuck), noticed_soon(&silence));
        assert!(is_timeout(stuck));
    }
}
