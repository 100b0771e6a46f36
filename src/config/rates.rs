//! How many requests are accepted.

use clap::Args;

/// Points per second. A read costs 1, a write 2, an upload, a new task or a renewal 10. Each bucket holds
/// the points of 10 seconds.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Rate limits")]
pub struct RateSettings {
    /// Points per second of each user: a read costs 1, a write 2, an upload or a new task 10.
    /// Bursts may take the points of 10 seconds. 0: no limit
    #[arg(long, env = "PORCHLIGHT_USER_RATE", value_name = "POINTS",
        default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub user_rate: u32,

    /// Points per second of all users of a brokerage together, without streams. 0: no limit
    #[arg(long, env = "PORCHLIGHT_BROKERAGE_RATE", value_name = "POINTS",
        default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub brokerage_rate: u32,

    /// Points per second of each user with the role service. 0: no limit
    #[arg(long, env = "PORCHLIGHT_SERVICE_RATE", value_name = "POINTS",
        default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub service_rate: u32,

    /// Points per second of each user with the role worker. 0: no limit
    #[arg(long, env = "PORCHLIGHT_WORKER_RATE", value_name = "POINTS",
        default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub worker_rate: u32,

    /// Requests per second from one address that have no valid token. 0: no limit
    #[arg(long, env = "PORCHLIGHT_ADDRESS_RATE", value_name = "REQUESTS",
        default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub address_rate: u32,

    /// Number of proxies in front of the service. The address of a client is then the last but
    /// so many of `X-Forwarded-For`; with 0 it is that of the connection
    #[arg(long, env = "PORCHLIGHT_TRUSTED_PROXIES", value_name = "N",
        default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=16))]
    pub trusted_proxies: u8,
}
