//! History: pages of the log as JSON, and waiting for the next one.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::directory::rights;
use crate::fanout::LogUnavailable;
use crate::fanout::TICK;
use crate::fanout::{Dispatcher, Found};
use crate::identity::Caller;
use crate::log::read::page;
use crate::log::{Audience, Cursor, Rights};
use crate::log::{Direction, Page, Want};
use crate::log::{EventJson, json};
use crate::platform::Limit;
use crate::platform::database::limited;
use crate::platform::{PageItems, PageLimit};
use crate::stream::open::StreamServices;
use crate::stream::reader::Look;
use crate::stream::scope::UnknownScope;
use crate::stream::{Filter, Reader, ResetReason, Scope};

#[derive(Clone, Debug)]
pub enum HistoryRange {
    /// At the oldest event that is kept.
    Oldest,
    /// After this, from old to new.
    After(Cursor),
    /// Before this, from new to old.
    Before(Cursor),
}

impl HistoryRange {
    /// Which way a page goes from here, and beyond which position.
    fn direction(&self) -> (Direction, i64) {
        match self {
            Self::Oldest => (Direction::Forward, 0),
            Self::After(cursor) => (Direction::Forward, cursor.position),
            Self::Before(cursor) => (Direction::Backward, cursor.position),
        }
    }
}

#[derive(Debug)]
pub struct History {
    /// What part of the caller's world.
    pub scope: Scope,
    /// What of it is left out.
    pub filter: Filter,
    pub place: HistoryRange,
    /// How long the page may be.
    pub limit: PageLimit,
    /// How long to wait where there are none.
    pub wait: Option<Duration>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Not the caller's.
    #[error(transparent)]
    Scope(#[from] UnknownScope),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The log is not to be had now.
    #[error("the log is unavailable")]
    Unavailable,
    /// The cursor cannot be served; the log stands here.
    #[error("the cursor cannot be served")]
    Reset(ResetReason, Cursor),
}

impl From<LogUnavailable> for HistoryError {
    fn from(_: LogUnavailable) -> Self {
        Self::Unavailable
    }
}

struct Eyes {
    audiences: Arc<[Audience]>,
    rights: Rights,
}

#[derive(Debug)]
pub struct Listed {
    /// Where the log stands; the page is true there.
    pub position: Cursor,
    /// The events, each with its position.
    pub events: PageItems,
    /// What to ask for next; none at the beginning of the log.
    pub next: Option<Cursor>,
}

/// Lists a page; where it is empty and the caller wants to wait, waits for events.
pub async fn list(
    services: &Arc<StreamServices>,
    dispatcher: &Rc<Dispatcher>,
    caller: &Caller,
    asked: History,
) -> Result<Listed, HistoryError> {
    let audiences = asked.scope.audiences(caller)?;
    let handle = services.log_handle.join(&caller.broker).await?;
    let eyes = Eyes {
        audiences,
        rights: rights::of(caller),
    };
    let Some(wait) = asked.wait else {
        return read(services, &caller.broker, &eyes, &asked).await;
    };
    // Listening begins before reading, so that nothing falls between.
    let reader = Reader::new(dispatcher, handle, Arc::clone(&eyes.audiences));
    let until_end = Duration::try_from(caller.expires_at - services.clock.now());
    let until = Instant::now() + wait.min(until_end.unwrap_or_default());
    if let Some(listed) = next_in_memory((&reader, &eyes.rights), &asked, until, false).await {
        return Ok(listed);
    }
    let listed = read(services, &caller.broker, &eyes, &asked).await?;
    let Some(next) = listed.next.clone().filter(|_| listed.events.is_empty()) else {
        return Ok(listed);
    };
    let asked = History {
        place: HistoryRange::After(next),
        ..asked
    };
    Ok(next_in_memory((&reader, &eyes.rights), &asked, until, true)
        .await
        .unwrap_or(listed))
}

/// Waits for the next page from memory; `None` where memory cannot say. A cursor beyond
/// what memory knows may be wrong or merely newer: only the table can judge it.
async fn next_in_memory(
    (reader, rights): (&Reader, &Rights),
    asked: &History,
    until: Instant,
    is_judged: bool,
) -> Option<Listed> {
    let HistoryRange::After(cursor) = &asked.place else {
        return None;
    };
    let epoch = cursor.epoch.clone().unwrap_or_else(|| reader.log_head().0);
    let mut position = cursor.position;
    poll_fn(|context| {
        let mut events = PageItems::new(asked.limit);
        let look = reader.look(&epoch, position, |frame, owners| {
            if !asked.filter.passes(&frame.encoded) {
                return true;
            }
            let json = frame.encoded.json(owners.sight(frame, rights));
            events.push(&json::listed(json, &epoch.at(frame.position)))
        });
        let Look::Found(Found::UpTo(upto)) = look else {
            return Poll::Ready(None);
        };
        let (_, head) = reader.log_head();
        if upto > head && !is_judged {
            return Poll::Ready(None);
        }
        position = upto;
        let is_over = reader.subscription().dispatcher().now() + TICK >= until;
        if !events.is_empty() || is_over || reader.subscription().closing().is_some() {
            let next = Some(epoch.at(upto));
            return Poll::Ready(Some(Listed {
                position: epoch.at(head.max(upto)),
                events,
                next,
            }));
        }
        reader
            .subscription()
            .wait(context, until.checked_sub(TICK).unwrap_or(until));
        Poll::Pending
    })
    .await
}

async fn read(
    services: &StreamServices,
    broker: &crate::platform::BrokerId,
    eyes: &Eyes,
    asked: &History,
) -> Result<Listed, HistoryError> {
    let (types, records) = (asked.filter.like_patterns(), asked.filter.record_paths());
    let (direction, beyond) = asked.place.direction();
    let want = Want {
        broker,
        audiences: &eyes.audiences,
        beyond,
        direction,
        types: types.as_deref(),
        records: records.as_deref(),
        limit: asked.limit.rows(),
        most_bytes: asked.limit.bytes(),
    };
    // Whoever waits for events may wait for longer than a request may take.
    let page = limited(Limit::REQUEST, async {
        let mut connection = services.pool.acquire().await?;
        page(&mut connection, &want).await
    });
    let page = page.await?.ok_or(HistoryError::Unavailable)?;
    refuse_lost(&page, &asked.place)?;
    Ok(listed(page, asked, &eyes.rights))
}

fn refuse_lost(page: &Page, place: &HistoryRange) -> Result<(), HistoryError> {
    let head = &page.head;
    let reset = |reason| Err(HistoryError::Reset(reason, head.epoch.at(head.head)));
    let (HistoryRange::After(cursor) | HistoryRange::Before(cursor)) = place else {
        return Ok(());
    };
    if cursor
        .epoch
        .as_ref()
        .is_some_and(|theirs| *theirs != head.epoch)
    {
        return reset(ResetReason::Unknown);
    }
    match place {
        HistoryRange::After(cursor) if cursor.position > head.head => reset(ResetReason::Ahead),
        HistoryRange::After(cursor) if cursor.position < head.horizon => {
            reset(ResetReason::Expired)
        }
        _ => Ok(()),
    }
}

fn listed(page: Page, asked: &History, rights: &Rights) -> Listed {
    let Page {
        head,
        events,
        is_last,
    } = page;
    let mut items = PageItems::new(asked.limit);
    let filled = items.fill(&events, |event| {
        let seen = event.seen_with(rights);
        let json = serde_json::to_string(&EventJson::of(&seen)).unwrap_or_default();
        json::listed(&json, &head.epoch.at(event.position))
    });
    let is_last = is_last && !filled.has_more;
    let (direction, beyond) = asked.place.direction();
    let last = filled.last.map_or(beyond, |event| event.position);
    let next = match direction {
        // Past what the filters left out, so that it is not looked through again.
        Direction::Forward if is_last => Some(head.head.max(last)),
        Direction::Forward => Some(last),
        Direction::Backward => (!is_last).then_some(last),
    };
    Listed {
        position: head.epoch.at(head.head),
        events: items,
        next: next.map(|position| head.epoch.at(position)),
    }
}
