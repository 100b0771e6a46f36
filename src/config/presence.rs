//! When a user is online, away or offline.

use std::time::Duration;

use clap::Args;

use crate::collab::PresenceRules;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Presence")]
#[expect(clippy::struct_field_names, reason = "they are the names of flags")]
pub struct PresenceSettings {
    /// Seconds that a user stays online after their last stream and heartbeat have ended
    #[arg(long, env = "PORCHLIGHT_PRESENCE_GRACE_SECONDS", value_name = "SECONDS",
        default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub presence_grace_seconds: u64,

    /// Seconds that a heartbeat is valid; clients send one in half of this time
    #[arg(long, env = "PORCHLIGHT_PRESENCE_TIMEOUT_SECONDS", value_name = "SECONDS",
        default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=3_600))]
    pub presence_timeout_seconds: u64,

    /// Seconds without activity after which a user who is online becomes away
    #[arg(long, env = "PORCHLIGHT_PRESENCE_AWAY_SECONDS", value_name = "SECONDS",
        default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub presence_away_seconds: u64,

    /// Most users of a team or brokerage whose presence is sent user by user; for more users
    /// only their number is sent
    #[arg(long, env = "PORCHLIGHT_PRESENCE_CROWD", value_name = "N",
        default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub presence_crowd: u32,
}

impl PresenceSettings {
    #[must_use]
    pub fn rules(&self) -> PresenceRules {
        PresenceRules {
            grace: Duration::from_secs(self.presence_grace_seconds),
            timeout: Duration::from_secs(self.presence_timeout_seconds),
            away: Duration::from_secs(self.presence_away_seconds),
        }
    }

    #[must_use]
    pub fn crowd(&self) -> usize {
        usize::try_from(self.presence_crowd).unwrap_or(usize::MAX)
    }
}
