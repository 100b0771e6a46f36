//! History: pages of the log as JSON, and waiting for the next one.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::event::json::EventJson;
use crate::event::{Audience, Cursor, Epoch, Event};
use crate::event_log::read::{Direction, Page, Want, page};
use crate::follower::LogUnavailable;
use crate::hub::switchboard::TICK;
use crate::hub::{Found, Switchboard};
use crate::identity::Caller;
use crate::stream::open::Services;
use crate::stream::reader::Look;
use crate::stream::scope::UnknownScope;
use crate::stream::{Filter, Reader, ResetReason, Scope};

/// Where a page begins.
#[derive(Clone, Debug)]
pub enum Place {
    /// At the oldest event that is kept.
    Oldest,
    /// After this, from old to new.
    After(Cursor),
    /// Before this, from new to old.
    Before(Cursor),
}

/// What is asked for.
#[derive(Debug)]
pub struct History {
    /// What part of the caller's world.
    pub scope: Scope,
    /// What of it is left out.
    pub filter: Filter,
    /// Where to begin.
    pub place: Place,
    /// How many events at the most.
    pub limit: i64,
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

/// A page of history.
#[derive(Debug)]
pub struct Listed {
    /// Where the log stands; the page is true there.
    pub position: Cursor,
    epoch: Epoch,
    events: Vec<Event>,
    /// What to ask for next; none at the beginning of the log.
    next: Option<Cursor>,
}

#[derive(Serialize)]
struct ListedJson<'a> {
    events: Vec<EventJson<'a>>,
    next: Option<String>,
}

impl Listed {
    /// The page as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let events = self
            .events
            .iter()
            .map(|event| EventJson::listed(event, &self.epoch));
        let next = self.next.as_ref().map(ToString::to_string);
        serde_json::to_string(&ListedJson {
            events: events.collect(),
            next,
        })
        .unwrap_or_default()
    }
}

/// Lists a page; where it is empty and the caller wants to wait, waits for events.
pub async fn list(
    services: &Arc<Services>,
    board: &Rc<Switchboard>,
    caller: &Caller,
    asked: History,
) -> Result<Listed, HistoryError> {
    let audiences = asked.scope.audiences(caller)?;
    let guest = services.porch.join(&caller.broker).await?;
    let Some(wait) = asked.wait else {
        return read(services, &caller.broker, &audiences, &asked).await;
    };
    // Listening begins before reading, so that nothing falls between.
    let reader = Reader::new(board, guest, Arc::clone(&audiences));
    let until_end = Duration::try_from(caller.expires_at - services.clock.now());
    let until = Instant::now() + wait.min(until_end.unwrap_or_default());
    let mut asked = asked;
    loop {
        let listed = read(services, &caller.broker, &audiences, &asked).await?;
        let is_over = Instant::now() + TICK >= until || reader.seat().closing().is_some();
        if !listed.events.is_empty() || is_over {
            return Ok(listed);
        }
        let cursor = listed.next.clone().unwrap_or(listed.position);
        changed(&reader, &asked.filter, &cursor, until).await;
        asked.place = Place::After(cursor);
    }
}

/// Waits until memory has something for the reader after `cursor`, or the time is up.
async fn changed(reader: &Reader, filter: &Filter, cursor: &Cursor, until: Instant) {
    let epoch = cursor.epoch.clone().unwrap_or_else(|| reader.log_head().0);
    let mut position = cursor.position;
    poll_fn(|context| {
        let mut is_new = false;
        let look = reader.look(&epoch, position, |frame| {
            is_new = filter.passes(frame);
            !is_new
        });
        match look {
            Look::Found(Found::UpTo(upto)) => position = upto,
            Look::Found(Found::Gone) | Look::Replaced(..) => return Poll::Ready(()),
        }
        let is_over = reader.seat().board().now() + TICK >= until;
        if is_new || is_over || reader.seat().closing().is_some() {
            return Poll::Ready(());
        }
        reader.seat().wait(context, until - TICK);
        Poll::Pending
    })
    .await;
}

async fn read(
    services: &Services,
    broker: &crate::ids::BrokerId,
    audiences: &[Audience],
    asked: &History,
) -> Result<Listed, HistoryError> {
    let (types, records) = (asked.filter.like_patterns(), asked.filter.record_paths());
    let (direction, beyond) = match &asked.place {
        Place::Oldest => (Direction::Forward, 0),
        Place::After(cursor) => (Direction::Forward, cursor.position),
        Place::Before(cursor) => (Direction::Backward, cursor.position),
    };
    let want = Want {
        broker,
        audiences,
        beyond,
        direction,
        types: types.as_deref(),
        records: records.as_deref(),
        limit: asked.limit,
    };
    let mut connection = services.pool.acquire().await?;
    let page = page(&mut connection, &want)
        .await?
        .ok_or(HistoryError::Unavailable)?;
    refuse_lost(&page, &asked.place)?;
    Ok(listed(page, direction, beyond))
}

fn refuse_lost(page: &Page, place: &Place) -> Result<(), HistoryError> {
    let head = &page.head;
    let reset = |reason| Err(HistoryError::Reset(reason, head.epoch.at(head.head)));
    let (Place::After(cursor) | Place::Before(cursor)) = place else {
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
        Place::After(cursor) if cursor.position > head.head => reset(ResetReason::Ahead),
        Place::After(cursor) if cursor.position < head.horizon => reset(ResetReason::Expired),
        _ => Ok(()),
    }
}

fn listed(page: Page, direction: Direction, beyond: i64) -> Listed {
    let Page {
        head,
        events,
        is_last,
    } = page;
    let last = events.last().map_or(beyond, |event| event.position);
    let next = match direction {
        // Past what the filters left out, so that it is not looked through again.
        Direction::Forward if is_last => Some(head.epoch.at(head.head.max(last))),
        Direction::Forward => Some(head.epoch.at(last)),
        Direction::Backward => (!is_last).then(|| head.epoch.at(last)),
    };
    Listed {
        position: head.epoch.at(head.head),
        epoch: head.epoch,
        events,
        next,
    }
}
