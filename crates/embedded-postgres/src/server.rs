//! The command that runs the server.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::config::EmbeddedConfig;
use crate::layout::{Layout, PORT};
use crate::{command, server_log, wal_segments};

/// The settings of every server. Statements that fail are reported to the client and not
/// logged: otherwise clients could fill the disk.
const SETTINGS: [(&str, &str); 15] = [
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("max_connections", "100"),
    ("shared_buffers", "128MB"),
    ("min_wal_size", wal_segments::MIN_WAL_SIZE),
    ("max_wal_size", wal_segments::MAX_WAL_SIZE),
    ("jit", "off"), // costs more than it gains on short queries
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_destination", "stderr"),
    ("log_min_messages", "log"),
    ("log_checkpoints", "off"),
    // Otherwise the log would show statements and values of a backend that crashed.
    ("log_error_verbosity", "terse"),
    ("log_min_error_statement", "panic"),
    ("log_parameter_max_length_on_error", "0"),
];
/// After a crash Linux can sync a whole file system at once. That takes a second; opening
/// every file takes many.
#[cfg(target_os = "linux")]
const SYSTEM_SETTINGS: [(&str, &str); 1] = [("recovery_init_sync_method", "syncfs")];
#[cfg(not(target_os = "linux"))]
const SYSTEM_SETTINGS: [(&str, &str); 0] = [];
/// The settings of a cluster that need not survive a crash.
const NOT_DURABLE: [(&str, &str); 3] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
];

#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    account: Account,
    arguments: Vec<OsString>,
    log: PathBuf,
}

pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) log_begin: u64,
}

impl Server {
    pub(crate) fn new(
        config: &EmbeddedConfig,
        layout: &Layout,
        binaries: &Binaries,
        account: Account,
    ) -> Self {
        Self {
            program: binaries.program("postgres"),
            account,
            arguments: arguments(config, layout),
            log: layout.log.clone(),
        }
    }

    /// Starts the server as a child of the calling thread, which must outlive it.
    pub(crate) fn spawn(&self) -> io::Result<Started> {
        let (file, log_begin) = server_log::open(&self.log)?;
        let child = command::new(&self.program, &self.account)
            .args(&self.arguments)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Started { child, log_begin })
    }

    pub(crate) fn last_words(&self, log_begin: u64) -> String {
        server_log::last_words(&self.log, log_begin)
    }
}

fn arguments(config: &EmbeddedConfig, layout: &Layout) -> Vec<OsString> {
    let mut arguments = vec!["-D".into(), layout.cluster.clone().into()];
    arguments.extend(["-p".into(), PORT.to_string().into()]);
    let mut set = |name: &str, value: &OsStr| {
        let mut setting = OsString::from(format!("{name}="));
        setting.push(value);
        arguments.extend(["-c".into(), setting]);
    };
    set("unix_socket_directories", &quoted(&layout.socket_dir));
    for (name, value) in SETTINGS.into_iter().chain(SYSTEM_SETTINGS) {
        set(name, value.as_ref());
    }
    for (name, value) in NOT_DURABLE.iter().filter(|_| !config.durable) {
        set(name, value.as_ref());
    }
    for (name, value) in &config.settings {
        set(name, value.as_ref());
    }
    arguments
}

/// The setting is a list, so the path needs quotes for its commas and spaces.
fn quoted(dir: &Path) -> OsString {
    let mut quoted = vec![b'"'];
    for byte in dir.as_os_str().as_bytes() {
        if *byte == b'"' {
            quoted.push(b'"');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_directory_is_one_entry_whatever_its_name() {
        assert_eq!(quoted(Path::new("/a, b/\"c\"")), "\"/a, b/\"\"c\"\"\"");
    }
}
