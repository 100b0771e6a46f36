//! When somebody counts as here, away or gone.

use std::time::Duration;

use clap::Args;

use crate::collab::PresenceRules;

/// When somebody counts as here, away or gone.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Presence")]
#[expect(clippy::struct_field_names, reason = "they are the names of flags")]
pub struct PresenceSettings {
    /// Seconds that somebody whose last stream and heartbeat have ended still counts as here
    #[arg(long, env = "PORCHLIGHT_PRESENCE_GRACE_SECONDS", value_name = "SECONDS",
        default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub presence_grace_seconds: u64,

    /// Seconds that a heartbeat counts; clients send one in half of it
    #[arg(long, env = "PORCHLIGHT_PRESENCE_TIMEOUT_SECONDS", value_name = "SECONDS",
        default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=3_600))]
    pub presence_timeout_seconds: u64,

    /// Seconds without activity after which somebody who is here counts as away
    #[arg(long, env = "PORCHLIGHT_PRESENCE_AWAY_SECONDS", value_name = "SECONDS",
        default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub presence_away_seconds: u64,

    /// People of one team or brokerage whose comings and goings are told one by one; in a
    /// larger crowd only their number is
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

    /// How many people are told of one by one.
    #[must_use]
    pub fn crowd(&self) -> usize {
        usize::try_from(self.presence_crowd).unwrap_or(usize::MAX)
    }
}
