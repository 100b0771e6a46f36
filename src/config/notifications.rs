//! The retention of notifications.

use std::time::Duration;

use clap::Args;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Notifications")]
pub struct NotificationSettings {
    /// Days that a notification is kept, read or not
    #[arg(long, env = "PORCHLIGHT_NOTIFICATION_DAYS", value_name = "DAYS",
        default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub notification_days: u32,
}

impl NotificationSettings {
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.notification_days))
    }
}
