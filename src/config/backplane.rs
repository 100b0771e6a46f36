//! What carries notices between instances.

use clap::Args;

use crate::identity::Secret;
use crate::log::{InvalidTarget, RedisTarget};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Between instances")]
pub struct BackplaneSettings {
    /// Redis or Valkey that carries events between instances: `redis://…` or `rediss://…`, with commas
    /// between several nodes of a cluster. Without it, Postgres does by NOTIFY
    // A secret: an error of the flag parser would contain the password.
    #[arg(
        long,
        env = "PORCHLIGHT_BACKPLANE",
        hide_env_values = true,
        value_name = "URL"
    )]
    backplane: Option<Secret>,

    /// Send no contents of events through the backplane: the other instances read them from Postgres
    #[arg(long, env = "PORCHLIGHT_BACKPLANE_HINTS_ONLY", value_name = "BOOL",
        default_value_t = false, num_args = 0..=1, default_missing_value = "true",
        action = clap::ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new())]
    backplane_hints_only: bool,
}

impl BackplaneSettings {
    /// The addresses of Redis, if it is used.
    pub fn redis(&self) -> Result<Option<RedisTarget>, InvalidTarget> {
        let addresses = self.backplane.as_ref().map(Secret::reveal);
        let addresses = addresses.filter(|addresses| !addresses.is_empty());
        addresses.map(str::parse).transpose()
    }

    /// Whether committed events go through the backplane.
    #[must_use]
    pub fn carries_contents(&self) -> bool {
        let has_redis = self.redis().is_ok_and(|redis| redis.is_some());
        has_redis && !self.backplane_hints_only
    }
}
