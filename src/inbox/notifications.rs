//! Notifications: what people are told by name, on every device, until one of them reads it.
//!
//! A notification is a row and the event that tells of it, made in one transaction. `book` has
//! that order of things: the broker's book first, the readers next, the log last. So a number
//! of unread ones in an event is the number at the event's place, and whoever folds the events
//! knows what a fresh list says. [`Notifications`] is the way in for requests; the [`notifier`]
//! makes those that nobody posts.

use crate::log::EventCommitter;
use crate::platform::Pool;

mod error;
mod list;
mod notification;
pub mod notifier;
mod post;
mod preferences;
mod read;
pub mod retention;
mod sequence;
mod unread;

pub use error::NotificationError;
pub use list::{Asked, Listed};
pub use notification::{Kind, Level, Notification, System};
pub use post::{InvalidText, Post, Posted, Text};
pub use preferences::Preferences;
pub use read::Unread;

#[derive(Clone, Debug)]
pub struct Notifications {
    pool: Pool,
    committer: EventCommitter,
}

impl Notifications {
    /// A way to the notifications of this database.
    #[must_use]
    pub fn new(pool: Pool, committer: EventCommitter) -> Self {
        Self { pool, committer }
    }
}
