//! What users are told by name: notifications, and the activity of others in words.

mod activity;
pub mod notifications;

pub use activity::{Activity, ActivityError, Asked};
pub use notifications::notifier::Notifier;
