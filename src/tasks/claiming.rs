//! A worker that waits for a task: claiming anew whenever one of its types comes up.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::fanout::TICK;
use crate::fanout::{Dispatcher, Encoded, Found, Sight};
use crate::identity::Caller;
use crate::platform::Limit;
use crate::platform::Metrics;
use crate::platform::TaskType;
use crate::platform::database::limited;
use crate::stream::Look;
use crate::stream::StreamServices;
use crate::stream::UnknownScope;
use crate::stream::{Reader, Scope};
use crate::tasks::{AVAILABLE, ClaimRequest, Claimed, TaskError, Tasks};

/// Without news, a claim is tried so often: rests end, and hints can be lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why nothing can be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Not a worker.
    #[error(transparent)]
    Scope(#[from] UnknownScope),
    /// The log is not to be had now, so nobody can wait at it.
    #[error("the log is unavailable")]
    Unavailable,
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Claims a task of the caller's broker, or waits for one. Whoever goes away while waiting
/// takes no task along: nothing is claimed but between two waits.
pub async fn claim(
    (services, dispatcher): (&Arc<StreamServices>, &Rc<Dispatcher>),
    tasks: &Tasks,
    (caller, wanted): (&Caller, &ClaimRequest),
    wait: Duration,
) -> Result<Option<Claimed>, ClaimError> {
    let audiences = Scope::Worker.audiences(caller)?;
    if wait.is_zero() {
        return Ok(tasks.claim(&caller.broker, wanted).await?);
    }
    let handle = services.log_handle.join(&caller.broker).await;
    let handle = handle.map_err(|_| ClaimError::Unavailable)?;
    // Listening begins before looking, so that nothing falls between.
    let reader = Reader::new(dispatcher, handle, audiences);
    let until_end = Duration::try_from(caller.expires_at - services.clock.now());
    let until = Instant::now() + wait.min(until_end.unwrap_or_default());
    let (mut epoch, mut place) = reader.log_head();
    let _waiting = Waiting::begin(&services.metrics);
    loop {
        // Whoever waits may wait for longer than a request may take.
        let claimed = limited(Limit::REQUEST, tasks.claim(&caller.broker, wanted)).await?;
        if claimed.is_some() {
            return Ok(claimed);
        }
        let look_at = until.min(Instant::now() + LOOK_EVERY);
        let is_over = poll_fn(|context| {
            let mut is_wanted = false;
            let look = reader.look(&epoch, place, |frame, _| {
                is_wanted |= offers(&frame.encoded, wanted);
                true
            });
            if let Look::Found(Found::UpTo(upto)) = look {
                place = upto;
            } else {
                // Memory cannot say what came: go on from what it knows, and try.
                (epoch, place) = reader.log_head();
                is_wanted = true;
            }
            let subscription = reader.subscription();
            let now = Instant::now();
            if subscription.closing().is_some() || now + TICK >= until {
                return Poll::Ready(true);
            }
            if is_wanted || now >= look_at {
                return Poll::Ready(false);
            }
            subscription.wait(context, look_at.checked_sub(TICK).unwrap_or(look_at));
            Poll::Pending
        })
        .await;
        if is_over {
            return Ok(None);
        }
    }
}

/// Counted for as long as it is there.
struct Waiting(Arc<Metrics>);

impl Waiting {
    fn begin(metrics: &Arc<Metrics>) -> Self {
        metrics.claims_waiting.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.claims_waiting.dec();
    }
}

#[derive(Deserialize)]
struct Offer {
    data: OfferData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfferData {
    task_type: TaskType,
}

/// Whether an event tells of a task that the worker can do.
fn offers(encoded: &Encoded, wanted: &ClaimRequest) -> bool {
    if encoded.event_type.as_str() != AVAILABLE {
        return false;
    }
    let offer = serde_json::from_str::<Offer>(encoded.json(Sight::Masked));
    offer.is_ok_and(|offer| wanted.types.contains(&offer.data.task_type))
}
