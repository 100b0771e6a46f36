//! Reads what other instances have revoked and renewed, and notices keys that were removed.
//!
//! A notice of another instance causes a read at once. Without notices there is a read every
//! [`POLL`]: one row, unless something has changed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Sessions;
use super::questions::{self, PeerQuestion};
use super::store::{self, RenewalAnswer, STEP, StoredRenewal};
use crate::fanout::CloseReason;
use crate::identity::{KeyWatch, Revocation, Verifier};
use crate::platform::{BackgroundTask, BrokerId, DedicatedConnection, Pool, TeamId, UserId};

/// A revocation takes effect within this time and one query, also without notices.
const POLL: Duration = Duration::from_millis(500);
/// The time between two reads with notices.
const NOTIFIED_POLL: Duration = Duration::from_millis(20);
/// The time between two removals of what is over.
const CLEAN_UP: Duration = Duration::from_mins(1);
/// Rows stay this much longer than their tokens: the clocks of instances differ.
const SLACK: time::Duration = time::Duration::minutes(5);

/// The number of the last change that was read.
#[derive(Clone, Copy, Debug)]
pub struct SessionHead(i64);

/// Reads all revocations, before the first request comes.
pub async fn load(pool: &Pool, verifier: &Verifier) -> sqlx::Result<SessionHead> {
    let mut connection = pool.acquire().await?;
    let head = store::head(&mut connection).await?;
    for revocation in revocations_after(&mut connection, 0).await? {
        verifier.revocations().add(&revocation);
    }
    Ok(SessionHead(head))
}

async fn revocations_after(
    connection: &mut PgConnection,
    number: i64,
) -> sqlx::Result<Vec<Revocation>> {
    let (mut all, mut after) = (Vec::new(), Some(number));
    while let Some(number) = after {
        let page = store::revocations_after(connection, number).await?;
        after = page.next;
        all.extend(page.revocations);
    }
    Ok(all)
}

/// Learns that users have left teams.
pub trait SessionObserver: Send + Sync {
    fn left_team(&self, broker: &BrokerId, user: &UserId, team: &TeamId);
}

pub struct SessionSyncParts {
    pub database: DedicatedConnection,
    pub sessions: Sessions,
    /// Notified when another instance has revoked or renewed something.
    pub peer_changes: Arc<Notify>,
    pub head: SessionHead,
    pub stop: CancellationToken,
}

pub struct SessionSync {
    parts: SessionSyncParts,
    keys: KeyWatch,
    /// `None`: it is due.
    cleaned_up: Option<Instant>,
}

impl fmt::Debug for SessionSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSync").finish_non_exhaustive()
    }
}

/// What has changed since the last read.
#[derive(Default)]
struct SessionChanges {
    revocations: Vec<Revocation>,
    renewals: Vec<StoredRenewal>,
    questions: Vec<PeerQuestion>,
    head: i64,
}

impl SessionSync {
    #[must_use]
    pub fn task(parts: SessionSyncParts) -> BackgroundTask {
        let keys = KeyWatch::new(parts.sessions.0.parts.verifier.clone());
        let sync = Self {
            parts,
            keys,
            cleaned_up: None,
        };
        BackgroundTask::new("the exchange of sessions", sync.run())
    }

    async fn run(mut self) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stop, changes) = (
            self.parts.stop.clone(),
            Arc::clone(&self.parts.peer_changes),
        );
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                () = changes.notified() => {}
            }
            self.check_keys();
            let outcome = self.read().await;
            self.report(outcome);
            self.clean_up_if_due().await;
            tokio::time::sleep(NOTIFIED_POLL).await;
        }
    }

    fn check_keys(&mut self) {
        if let Some(keys) = self.keys.changed() {
            self.parts.sessions.0.open.keep_keys(&keys);
        }
    }

    async fn read(&mut self) -> sqlx::Result<()> {
        let (known, instance) = (self.parts.head.0, self.parts.sessions.instance());
        let changes = async |c: &mut PgConnection| changes_after(c, instance, known).await;
        let changes = self.parts.database.run(changes).await?;
        for revocation in &changes.revocations {
            self.parts.sessions.apply(revocation);
        }
        self.parts.sessions.pass_on(changes.questions);
        let answers = self.renew(changes.renewals);
        if !answers.is_empty() {
            let answer = async |c: &mut PgConnection| store::answer_renewals(c, &answers).await;
            self.parts.database.run(answer).await?;
        }
        self.parts.head = SessionHead(changes.head);
        Ok(())
    }

    /// Renews the streams that are here.
    fn renew(&self, renewals: Vec<StoredRenewal>) -> Vec<RenewalAnswer> {
        let open = &self.parts.sessions.0.open;
        let answers = renewals.into_iter().filter_map(|renewal| {
            let outcome = open.renew(renewal.stream, &renewal.fresh)?.as_str();
            Some(RenewalAnswer { renewal, outcome })
        });
        answers.collect()
    }

    fn report(&self, outcome: sqlx::Result<()>) {
        let sessions = &self.parts.sessions;
        match outcome {
            Ok(()) => sessions.0.parts.health.record_success(),
            Err(error) => {
                tracing::warn!(%error, "revocations could not be read; it will be tried again");
                if sessions.is_unavailable() {
                    sessions.0.open.close_all(CloseReason::Unavailable);
                }
            }
        }
    }

    async fn clean_up_if_due(&mut self) {
        if self.cleaned_up.is_some_and(|at| at.elapsed() < CLEAN_UP) {
            return;
        }
        self.cleaned_up = Some(Instant::now());
        let parts = &self.parts.sessions.0.parts;
        let before = parts.clock.now() - SLACK;
        parts.verifier.revocations().forget_expired(before);
        let delete = async |c: &mut PgConnection| {
            questions::delete_old(c).await?;
            store::delete_old(c, before).await
        };
        match self.parts.database.run(delete).await {
            // There may be more.
            Ok(STEP..) => self.cleaned_up = None,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old revocations could not be deleted"),
        }
    }
}

async fn changes_after(
    connection: &mut PgConnection,
    instance: &str,
    known: i64,
) -> sqlx::Result<SessionChanges> {
    let head = store::head(connection).await?;
    if head == known {
        return Ok(SessionChanges {
            head: known,
            ..SessionChanges::default()
        });
    }
    // A restored database is behind: everything in it may be new.
    let known = if head < known { 0 } else { known };
    Ok(SessionChanges {
        revocations: revocations_after(connection, known).await?,
        renewals: store::renewals_after(connection, known).await?,
        questions: questions::questions_after(connection, instance, known).await?,
        head,
    })
}
