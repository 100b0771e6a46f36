//! The service manager that has started the process, if one has.

use std::env::{var, var_os};
use std::time::Duration;

use crate::platform::ServiceManager;

/// As systemd says with `Type=notify` and `WatchdogSec=`. It sets these variables itself, so they are no settings.
pub(super) fn from_environment() -> ServiceManager {
    let Some(address) = var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
        return ServiceManager::default();
    };
    ServiceManager::connect(&address, watchdog()).unwrap_or_else(|error| {
        tracing::warn!(%error, ?address, "the service manager of NOTIFY_SOCKET cannot be told anything");
        ServiceManager::default()
    })
}

/// None if it is meant for another process.
fn watchdog() -> Option<Duration> {
    let is_ours = var("WATCHDOG_PID").map_or(true, |id| id == std::process::id().to_string());
    let micros = var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (is_ours && micros > 0).then(|| Duration::from_micros(micros))
}
