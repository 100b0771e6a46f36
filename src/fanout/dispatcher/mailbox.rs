//! Where a worker thread is notified of changes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::StreamProgress;
use crate::fanout::{CloseReason, SubscriptionId};
use crate::log::Audience;
use crate::platform::BrokerId;

#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) topics: FxHashMap<BrokerId, FxHashSet<Audience>>,
    pub(super) closings: Vec<Closing>,
    pub(super) renewals: Vec<Renewal>,
    /// Parked streams whose waker was used.
    pub(super) woken: Vec<SubscriptionId>,
    /// Tasks of the worker thread that can go on, most of them with an answer to a request.
    pub(super) tasks: Vec<Waker>,
    pub(super) inspections: Vec<Inspection>,
    /// All streams must end. Their clients come back spread over this window.
    pub(super) drain: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Closing {
    pub(super) id: SubscriptionId,
    pub(super) reason: CloseReason,
}

/// The token of a stream ends at this time from now on.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) id: SubscriptionId,
    pub(super) expires_at: Instant,
}

/// Asks how far these streams are. Streams that are not parked are left out of the answer.
#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) ids: Vec<SubscriptionId>,
    pub(super) answer: oneshot::Sender<Vec<(SubscriptionId, StreamProgress)>>,
}

impl Mail {
    fn is_empty(&self) -> bool {
        let has_streams = !self.closings.is_empty() || !self.woken.is_empty();
        let is_quiet = self.topics.is_empty() && self.renewals.is_empty();
        let is_quiet = is_quiet && self.inspections.is_empty() && self.tasks.is_empty();
        is_quiet && !has_streams && self.drain.is_none()
    }
}

/// Takes notices for the streams of one worker thread, from any thread.
///
/// It keeps a set of topics and no queue. So its size is bounded by the number of topics and
/// streams, however long the worker thread is busy.
#[derive(Debug, Default)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Notify,
}

impl Mailbox {
    pub(in crate::fanout) fn topics_changed(
        &self,
        broker: &BrokerId,
        audiences: &FxHashSet<Audience>,
    ) {
        let mut mail = self.mail();
        match mail.topics.get_mut(broker) {
            Some(topics) => topics.extend(audiences.iter().cloned()),
            None => drop(mail.topics.insert(broker.clone(), audiences.clone())),
        }
        drop(mail);
        self.arrived.notify_one();
    }

    /// Ends one stream.
    pub fn close(&self, id: SubscriptionId, reason: CloseReason) {
        self.mail().closings.push(Closing { id, reason });
        self.arrived.notify_one();
    }

    /// Gives one stream another end.
    pub fn renew(&self, id: SubscriptionId, expires_at: Instant) {
        self.mail().renewals.push(Renewal { id, expires_at });
        self.arrived.notify_one();
    }

    /// Asks how far these streams are. The answer leaves out streams that are not parked.
    pub fn inspect(
        &self,
        ids: Vec<SubscriptionId>,
    ) -> oneshot::Receiver<Vec<(SubscriptionId, StreamProgress)>> {
        let (answer, answered) = oneshot::channel();
        self.mail().inspections.push(Inspection { ids, answer });
        self.arrived.notify_one();
        answered
    }

    pub(super) fn wake(&self, id: SubscriptionId) {
        self.mail().woken.push(id);
        self.arrived.notify_one();
    }

    pub(super) fn wake_task(&self, task: &Waker) {
        self.mail().tasks.push(task.clone());
        self.arrived.notify_one();
    }

    pub(in crate::fanout) fn drain(&self, spread: Duration) {
        self.mail().drain = Some(spread);
        self.arrived.notify_one();
    }

    /// Takes what there is. If that is nothing, waits unless `is_busy`.
    pub(super) async fn take(&self, is_busy: bool) -> Mail {
        loop {
            let mail = std::mem::take(&mut *self.mail());
            if is_busy || !mail.is_empty() {
                return mail;
            }
            self.arrived.notified().await;
        }
    }

    /// Topics and streams that wait for the worker thread.
    pub(in crate::fanout) fn waiting(&self) -> usize {
        let mail = self.mail();
        let topics: usize = mail.topics.values().map(FxHashSet::len).sum();
        topics + mail.woken.len() + mail.closings.len() + mail.renewals.len()
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
