//! The settings: one struct of flags and environment variables per concern.

mod backplane;
mod demo;
pub mod identity;
mod modules;
mod notifications;
mod presence;
mod rates;
mod records;
mod server;
mod signals;
mod tasks;
mod worker;

pub use backplane::BackplaneSettings;
pub use identity::{IdentityArgs, TokenChecks};

use clap::Args;

use crate::log::RetentionSettings;
use crate::operations::AlertSettings;
use crate::platform::traces::TraceSettings;
use crate::platform::{DatabaseSettings, QuotaSettings};
use crate::stream::StreamSettings;

/// The settings of `porchlight serve`.
#[derive(Args, Clone, Debug)]
pub struct Config {
    #[command(flatten)]
    pub server: server::ServerSettings,
    #[command(flatten)]
    pub rates: rates::RateSettings,
    #[command(flatten)]
    pub quotas: QuotaSettings,
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub backplane: backplane::BackplaneSettings,
    #[command(flatten)]
    pub identity: identity::IdentityArgs,
    #[command(flatten)]
    pub retention: RetentionSettings,
    #[command(flatten)]
    pub streams: StreamSettings,
    #[command(flatten)]
    pub presence: presence::PresenceSettings,
    #[command(flatten)]
    pub modules: modules::ModuleSettings,
    #[command(flatten)]
    pub records: records::RecordSettings,
    #[command(flatten)]
    pub signals: signals::SignalSettings,
    #[command(flatten)]
    pub tasks: tasks::TaskSettings,
    #[command(flatten)]
    pub notifications: notifications::NotificationSettings,
    #[command(flatten)]
    pub worker: worker::WorkerSettings,
    #[command(flatten)]
    pub alerts: AlertSettings,
    #[command(flatten)]
    pub traces: TraceSettings,
    #[command(flatten)]
    pub demo: demo::DemoSettings,
}

impl Config {
    /// Whether `serve` runs the built-in worker: as configured, or else where there is no other worker.
    #[must_use]
    pub fn has_worker(&self) -> bool {
        let is_alone = self.demo.demo || self.database.database_url.is_none();
        self.worker.with_worker.unwrap_or(is_alone)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn all_switches_take_the_same_words() {
        for switch in [
            "with-worker",
            "token-in-query",
            "park-streams",
            "backplane-hints-only",
        ] {
            for word in ["1", "0", "true", "false", "yes", "no", "on", "off"] {
                let flag = format!("--{switch}={word}");
                assert!(
                    Flags::try_parse_from(["porchlight", &flag]).is_ok(),
                    "{flag}"
                );
            }
            let wrong = format!("--{switch}=2");
            assert!(
                Flags::try_parse_from(["porchlight", &wrong]).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn serve_runs_the_worker_if_it_is_configured_or_alone() {
        let has_worker = |flags: &[&str]| {
            let flags = ["porchlight"].iter().chain(flags);
            Flags::parse_from(flags).config.has_worker()
        };
        let url = "--database-url=postgres://localhost/crm";
        assert!(!has_worker(&[url]) && !has_worker(&["--with-worker=false"]));
        assert!(has_worker(&[url, "--demo"]) && !has_worker(&["--demo", "--with-worker=false"]));
        assert!(has_worker(&[url, "--with-worker"]) && has_worker(&[url, "--with-worker=true"]));
    }
}
