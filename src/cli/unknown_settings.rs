//! Settings of the environment that do not exist. A misspelt limit would otherwise have no effect, and nobody
//! would notice.

use std::collections::HashSet;

use clap::{Command, CommandFactory};

use super::Cli;

const PREFIX: &str = "PORCHLIGHT_";
/// Settings of the scripts.
const OF_SCRIPTS: [&str; 2] = ["PORCHLIGHT_BIN", "PORCHLIGHT_PROFILE"];
/// Kubernetes and Docker set variables like `PORCHLIGHT_SERVICE_HOST` and `PORCHLIGHT_PORT_8080_TCP` for a service
/// that is named so.
const OF_PLATFORMS: [&str; 2] = ["_SERVICE_", "_PORT_"];

pub(super) fn warn() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for setting in unknown(names) {
        tracing::warn!(
            setting,
            "there is no such setting: it has no effect; porchlight --help lists all"
        );
    }
}

fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
    let command = Cli::command();
    let mut known = HashSet::from(OF_SCRIPTS.map(str::to_owned));
    for command in std::iter::once(&command).chain(command.get_subcommands()) {
        known.extend(settings(command));
    }
    names
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name))
        .filter(|name| {
            let whole = format!("{name}_");
            !OF_PLATFORMS.iter().any(|part| whole.contains(part))
        })
        .collect()
}

fn settings(command: &Command) -> impl Iterator<Item = String> {
    let names = command.get_arguments().filter_map(|arg| arg.get_env());
    names.filter_map(|name| name.to_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_found() {
        let names = [
            "PATH",
            "PORCHLIGHT_ADDR",
            "PORCHLIGHT_URL",
            "PORCHLIGHT_STREAM_PER_USER",
            "PORCHLIGHT_BIN",
            "PORCHLIGHT_PORT",
            "PORCHLIGHT_PORT_8080_TCP",
            "PORCHLIGHT_SERVICE_HOST",
        ];
        let found = unknown(names.map(str::to_owned).into_iter());
        assert_eq!(found, ["PORCHLIGHT_STREAM_PER_USER"]);
    }
}
