//! The inbox of a user: notifications for them, and the activity of others as sentences.

mod activity;
mod bad_rows;
pub mod notifications;

pub use activity::{Activity, ActivityError, ActivityListQuery};
pub use notifications::notifier::Notifier;
