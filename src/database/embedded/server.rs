//! The server as a command.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Child;

use super::account::Account;
use super::binaries::Binaries;
use super::layout::Layout;
use super::socket::PORT;
use super::{EmbeddedConfig, command, log};

/// What we ask of every server. A refused statement is told to its client and not logged:
/// the log would grow with what clients do.
const SETTINGS: [(&str, &str); 13] = [
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("max_connections", "100"),
    ("shared_buffers", "128MB"),
    ("jit", "off"), // costs more than it gains on queries as short as ours
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_destination", "stderr"),
    ("log_min_messages", "log"),
    ("log_checkpoints", "off"),
    // Of a backend that crashed it would say what it was told, with the values.
    ("log_error_verbosity", "terse"),
    ("log_min_error_statement", "panic"),
    ("log_parameter_max_length_on_error", "0"),
];
/// After a crash Linux can sync a whole file system at once, which takes a second where
/// opening every file takes many.
#[cfg(target_os = "linux")]
const OF_THIS_SYSTEM: [(&str, &str); 1] = [("recovery_init_sync_method", "syncfs")];
#[cfg(not(target_os = "linux"))]
const OF_THIS_SYSTEM: [(&str, &str); 0] = [];
/// What a cluster can do without that nobody will miss after a crash.
const THROW_AWAY: [(&str, &str); 3] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
];

/// Everything that is needed to run the server, again and again.
#[derive(Debug)]
pub(super) struct Server {
    program: PathBuf,
    account: Account,
    arguments: Vec<OsString>,
    log: PathBuf,
}

/// A server that runs, and where its part of the log begins.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) log_begin: u64,
}

impl Server {
    pub(super) fn new(
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

    /// Starts it as a child of the calling thread, which has to outlive it.
    pub(super) fn spawn(&self) -> io::Result<Started> {
        let (file, log_begin) = log::open(&self.log)?;
        let child = command::of(&self.program, &self.account)
            .args(&self.arguments)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Started { child, log_begin })
    }

    /// What a server said last.
    pub(super) fn last_words(&self, log_begin: u64) -> String {
        log::last_words(&self.log, log_begin)
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
    for (name, value) in SETTINGS.into_iter().chain(OF_THIS_SYSTEM) {
        set(name, value.as_ref());
    }
    for (name, value) in THROW_AWAY.iter().filter(|_| !config.durable) {
        set(name, value.as_ref());
    }
    for (name, value) in &config.settings {
        set(name, value.as_ref());
    }
    arguments
}

/// The setting is a list: a comma or a space in the path must not end the entry.
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
    fn a_socket_directory_is_one_entry_whatever_it_is_called() {
        assert_eq!(quoted(Path::new("/a, b/\"c\"")), "\"/a, b/\"\"c\"\"\"");
    }
}
