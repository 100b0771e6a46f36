//! What a stream reads from the table: pages, one after the other.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::fanout::{ReplayPage, ReplayResult};
use crate::platform::SmallInstant;

/// After a failure to read the table, a stream waits this long.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct StreamReplay {
    page: PageState,
    /// After a failure to read the table, nothing is read before this.
    not_before: Option<SmallInstant>,
}

/// Never two of them at once, and as one type a stream is smaller.
enum PageState {
    Nothing,
    Requested(oneshot::Receiver<ReplayResult>),
    /// A part of it has been written. The stream has the rest for as long as the cache has it.
    Begun(Weak<ReplayPage>),
}

impl StreamReplay {
    pub(super) fn new() -> Self {
        Self {
            page: PageState::Nothing,
            not_before: None,
        }
    }

    pub(super) fn request(&mut self, answer: oneshot::Receiver<ReplayResult>) {
        self.page = PageState::Requested(answer);
    }

    /// The rest of this page can wait until the client reads on.
    pub(super) fn begin(&mut self, page: &Arc<ReplayPage>) {
        self.page = PageState::Begun(Arc::downgrade(page));
    }

    /// Takes the page that was requested or begun, if there is one.
    pub(super) fn poll_page(
        &mut self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Option<Arc<ReplayPage>>> {
        let page = match &mut self.page {
            PageState::Nothing => return Poll::Ready(None),
            PageState::Begun(page) => page.upgrade(),
            PageState::Requested(answer) => {
                let answer = ready!(Pin::new(answer).poll(context));
                let page = answer.ok().and_then(Result::ok);
                if page.is_none() {
                    self.pause(now);
                }
                page
            }
        };
        self.page = PageState::Nothing;
        Poll::Ready(page)
    }

    pub(super) fn pause(&mut self, now: Instant) {
        self.not_before = Some((now + PAUSE).into());
    }

    /// Whether nothing is read yet, after a failure.
    pub(super) fn is_paused(&mut self, now: Instant) -> bool {
        self.not_before = self.not_before.filter(|at| now < at.get());
        self.not_before.is_some()
    }

    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.not_before.map(SmallInstant::get)
    }

    /// Whether the stream waits for the table.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.page, PageState::Requested(_)) || self.not_before.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_stream_waits_for_the_page_that_it_requested() {
        let (now, mut context) = (Instant::now(), Context::from_waker(Waker::noop()));
        let mut replay = StreamReplay::new();
        assert!(matches!(
            replay.poll_page(&mut context, now),
            Poll::Ready(None)
        ));
        let (_answer, page) = oneshot::channel();
        replay.request(page);
        assert!(replay.poll_page(&mut context, now).is_pending());
        assert!(replay.is_waiting());
    }

    #[test]
    fn after_a_failure_it_waits_for_a_second() {
        let (now, mut context) = (Instant::now(), Context::from_waker(Waker::noop()));
        let mut replay = StreamReplay::new();
        let (answer, page) = oneshot::channel();
        drop(answer);
        replay.request(page);
        assert!(matches!(
            replay.poll_page(&mut context, now),
            Poll::Ready(None)
        ));
        assert_eq!(replay.paused_until(), Some(now + PAUSE));
        assert!(replay.is_paused(now) && replay.is_waiting());
        assert!(!replay.is_paused(now + PAUSE) && !replay.is_waiting());
    }

    #[test]
    fn a_page_that_the_cache_has_dropped_is_none() {
        let (now, mut context) = (Instant::now(), Context::from_waker(Waker::noop()));
        let mut replay = StreamReplay::new();
        replay.page = PageState::Begun(Weak::new());
        assert!(!replay.is_waiting());
        assert!(matches!(
            replay.poll_page(&mut context, now),
            Poll::Ready(None)
        ));
    }
}
