//! History: pages of the log as JSON, and long-polling for the next page.

use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::directory::{LookupError, Member, rights};
use crate::fanout::{Dispatcher, LogUnavailable, Reader, RingRead, TICK};
use crate::identity::Caller;
use crate::log::read::page;
use crate::log::{Audience, Cursor, Rights};
use crate::log::{Direction, LogPage, PageQuery};
use crate::log::{EventJson, json};
use crate::platform::BrokerId;
use crate::platform::Limit;
use crate::platform::database::limited;
use crate::platform::{PageItems, PageLimit};
use crate::sessions::{NewSession, SessionKind, SessionRefusal};
use crate::stream::scope::UnknownScope;
use crate::stream::{Filter, ResetReason, Scope, StreamServices};

#[derive(Clone, Debug)]
pub enum HistoryRange {
    /// From the oldest event on.
    Oldest,
    /// From old to new.
    After(Cursor),
    /// From new to old.
    Before(Cursor),
}

impl HistoryRange {
    /// The direction, and the position after or before which the page starts.
    fn direction(&self) -> (Direction, i64) {
        match self {
            Self::Oldest => (Direction::Forward, 0),
            Self::After(cursor) => (Direction::Forward, cursor.position),
            Self::Before(cursor) => (Direction::Backward, cursor.position),
        }
    }
}

#[derive(Clone, Debug)]
pub struct HistoryQuery {
    pub scope: Scope,
    pub filter: Filter,
    pub range: HistoryRange,
    pub limit: PageLimit,
    /// How long to wait when the page is empty.
    pub wait: Option<Duration>,
    /// Where the client is.
    pub client: Option<IpAddr>,
    /// The user whose brokerage was looked up, because the token has none.
    pub member: Option<Member>,
}

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Scope(#[from] UnknownScope),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the log is unavailable")]
    Unavailable,
    /// After the wait, the brokerage of the user is not known.
    #[error(transparent)]
    Brokerage(#[from] LookupError),
    #[error("too many requests wait")]
    Refused(SessionRefusal),
    /// The cursor cannot be served. The log's head is here.
    #[error("the cursor cannot be served")]
    Reset(ResetReason, Cursor),
}

impl From<LogUnavailable> for HistoryError {
    fn from(_: LogUnavailable) -> Self {
        Self::Unavailable
    }
}

/// The audiences and the rights of the caller.
struct HistoryReader {
    audiences: Arc<[Audience]>,
    rights: Rights,
}

#[derive(Debug)]
pub struct HistoryPage {
    /// The log's head when the page was read.
    pub position: Cursor,
    /// Each event has its position.
    pub events: PageItems,
    /// The start of the next page; `None` at the beginning of the log.
    pub next: Option<Cursor>,
}

/// Lists a page. If it is empty and the query has `wait`, waits for events.
pub async fn list(
    services: &Arc<StreamServices>,
    dispatcher: &Rc<Dispatcher>,
    caller: &Caller,
    query: HistoryQuery,
) -> Result<HistoryPage, HistoryError> {
    let audiences = query.scope.audiences(caller)?;
    let handle = services.log_handle.join(&caller.broker).await?;
    let history_reader = HistoryReader {
        audiences,
        rights: rights::of(caller),
    };
    let Some(wait) = query.wait else {
        return read(services, &caller.broker, &history_reader, &query).await;
    };
    let member = query.member.clone();
    // The subscription comes before the read, so that no event is missed between them.
    let reader = Reader::new(dispatcher, handle, Arc::clone(&history_reader.audiences));
    let _watch = services.watch(member.clone(), &caller.broker, reader.subscription());
    let new = NewSession {
        caller,
        kind: SessionKind::LongPoll,
        client: query.client,
        scope: query.scope.name(),
    };
    let session = services.sessions.opened(new, reader.subscription());
    let _session = session.map_err(HistoryError::Refused)?;
    let now = Instant::now();
    let poll = LongPoll {
        services,
        broker: &caller.broker,
        reader: &reader,
        history_reader: &history_reader,
        until: services.expires_at(now, caller).min(now + wait),
    };
    let page = poll.page(query).await?;
    // The user may have changed the brokerage while the request waited.
    let moved_to = services.moved_to(member.as_ref(), &caller.broker).await?;
    match moved_to {
        None => Ok(page),
        Some(broker) => Err(reset_to(services, &broker).await),
    }
}

/// The answer to a cursor of another brokerage.
async fn reset_to(services: &StreamServices, broker: &BrokerId) -> HistoryError {
    match services.log_handle.join(broker).await {
        Ok(handle) => {
            let ring = handle.ring();
            HistoryError::Reset(ResetReason::Unknown, ring.epoch().at(ring.head()))
        }
        Err(error) => error.into(),
    }
}

/// A request that waits for events.
struct LongPoll<'a> {
    services: &'a StreamServices,
    broker: &'a BrokerId,
    reader: &'a Reader,
    history_reader: &'a HistoryReader,
    until: Instant,
}

impl LongPoll<'_> {
    async fn page(&self, query: HistoryQuery) -> Result<HistoryPage, HistoryError> {
        let (reader, rights) = (self.reader, &self.history_reader.rights);
        if let Some(page) = next_in_memory(reader, rights, &query, self.until, false).await {
            return Ok(page);
        }
        let page = read(self.services, self.broker, self.history_reader, &query).await?;
        let Some(next) = page.next.clone().filter(|_| page.events.is_empty()) else {
            return Ok(page);
        };
        let query = HistoryQuery {
            range: HistoryRange::After(next),
            ..query
        };
        let next = next_in_memory(reader, rights, &query, self.until, true).await;
        Ok(next.unwrap_or(page))
    }
}

/// Waits for the next page from memory. `None` when memory does not have it, or when the cursor is
/// after the ring's head and has not been checked: only the table shows whether it is valid.
async fn next_in_memory(
    reader: &Reader,
    rights: &Rights,
    query: &HistoryQuery,
    until: Instant,
    is_checked: bool,
) -> Option<HistoryPage> {
    let HistoryRange::After(cursor) = &query.range else {
        return None;
    };
    let epoch = cursor.epoch.clone().unwrap_or_else(|| reader.log_head().0);
    let mut position = cursor.position;
    poll_fn(|context| {
        let mut events = PageItems::new(query.limit);
        let read = reader.read(&epoch, position, |frame, owners| {
            if !query.filter.passes(&frame.encoded) {
                return true;
            }
            let json = frame.encoded.json(owners.visibility(frame, rights));
            events.push(&json::listed(json, &epoch.at(frame.position)))
        });
        let RingRead::UpTo(upto) = read else {
            return Poll::Ready(None);
        };
        let (_, head) = reader.log_head();
        if upto > head && !is_checked {
            return Poll::Ready(None);
        }
        position = upto;
        let is_over = reader.subscription().dispatcher().now() + TICK >= until;
        if !events.is_empty() || is_over || reader.subscription().closing().is_some() {
            let next = Some(epoch.at(upto));
            return Poll::Ready(Some(HistoryPage {
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
    broker: &BrokerId,
    reader: &HistoryReader,
    query: &HistoryQuery,
) -> Result<HistoryPage, HistoryError> {
    let (types, records) = (query.filter.like_patterns(), query.filter.record_paths());
    let (direction, beyond) = query.range.direction();
    let page_query = PageQuery {
        broker,
        audiences: &reader.audiences,
        beyond,
        direction,
        types: types.as_deref(),
        records: records.as_deref(),
        limit: query.limit.rows(),
        most_bytes: query.limit.bytes(),
    };
    // The query has its own limit, because a request that waits for events has none.
    let page = limited(Limit::REQUEST, async {
        let mut connection = services.pool.acquire().await?;
        page(&mut connection, &page_query).await
    });
    let page = page.await?.ok_or(HistoryError::Unavailable)?;
    check_cursor(&page, &query.range)?;
    Ok(history_page(page, query, &reader.rights))
}

fn check_cursor(page: &LogPage, range: &HistoryRange) -> Result<(), HistoryError> {
    let head = &page.head;
    let reset = |reason| Err(HistoryError::Reset(reason, head.cursor()));
    let (HistoryRange::After(cursor) | HistoryRange::Before(cursor)) = range else {
        return Ok(());
    };
    if cursor
        .epoch
        .as_ref()
        .is_some_and(|theirs| *theirs != head.epoch)
    {
        return reset(ResetReason::Unknown);
    }
    match range {
        HistoryRange::After(cursor) if cursor.position > head.position => reset(ResetReason::Ahead),
        HistoryRange::After(cursor) if cursor.position < head.horizon => {
            reset(ResetReason::Expired)
        }
        _ => Ok(()),
    }
}

fn history_page(page: LogPage, query: &HistoryQuery, rights: &Rights) -> HistoryPage {
    let LogPage {
        head,
        events,
        is_last,
    } = page;
    let mut items = PageItems::new(query.limit);
    let filled = items.fill(&events, |event| {
        let seen = event.seen_with(rights);
        let json = serde_json::to_string(&EventJson::of(&seen)).unwrap_or_default();
        json::listed(&json, &head.epoch.at(event.position))
    });
    let is_last = is_last && !filled.has_more;
    let (direction, beyond) = query.range.direction();
    let last = filled.last.map_or(beyond, |event| event.position);
    let next = match direction {
        // The next page starts after the events that the filter left out.
        Direction::Forward if is_last => Some(head.position.max(last)),
        Direction::Forward => Some(last),
        Direction::Backward => (!is_last).then_some(last),
    };
    HistoryPage {
        position: head.cursor(),
        events: items,
        next: next.map(|position| head.epoch.at(position)),
    }
}
