//! Notifications: messages to a user, a team or a brokerage, and which of them each user has read.
//!
//! A notification is a row and an event, written in one transaction. The transaction locks first the
//! `sequence` of the brokerage, then the rows of the readers, and last the log. So the number of
//! unread notifications in an event is true at the position of the event, and a client that follows
//! the events has the same state as a fresh list. [`Notifications`] serves requests; the [`notifier`]
//! makes notifications from events.

use crate::log::EventCommitter;
use crate::platform::BackgroundTask;
use crate::platform::Pool;

mod error;
mod list;
mod notification;
pub mod notifier;
mod post;
mod preferences;
mod read;
pub mod retention;
mod rows;
mod send;
mod sequence;
mod unread;
mod unread_room;

pub use error::NotificationError;
pub use list::{NotificationListQuery, NotificationPage};
pub use notification::{Level, Notification, NotificationKind, RecordLink, SystemNotice};
pub use post::{InvalidText, NewNotification, NotificationText};
pub use preferences::Preferences;
pub use read::MarkedRead;
pub use unread_room::UnreadLimits;

#[derive(Clone, Debug)]
pub struct Notifications {
    pool: Pool,
    committer: EventCommitter,
    unread_limits: UnreadLimits,
}

impl Notifications {
    /// The handle of requests, and the task that creates notifications from events.
    #[must_use]
    pub fn start(pool: Pool, notifier: notifier::Notifier) -> (Self, BackgroundTask) {
        let notifications = Self {
            pool,
            committer: notifier.committer.clone(),
            unread_limits: notifier.unread_limits,
        };
        let task = BackgroundTask::new("the notifier", notifier.run());
        (notifications, task)
    }
}
