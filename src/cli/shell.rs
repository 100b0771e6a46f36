//! Lines that set variables of a shell.

use std::env;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::platform::DatabaseSettings;

const PROGRAM: &str = "porchlight";

/// Variables to set, as lines for `eval`, and what each of them is, for people.
#[derive(Default)]
pub(super) struct Exports {
    lines: String,
    notes: String,
}

impl Exports {
    /// What a shell needs to run this program again, on the same database.
    pub(super) fn of_this_program(database: &DatabaseSettings) -> Self {
        let mut exports = Self::default();
        if let Ok(program) = env::current_exe()
            && !is_on_the_path(&program)
            && let Some(dir) = program.parent()
        {
            let dir = dir.to_string_lossy();
            let line = format!("export PATH={}:\"$PATH\"", quoted(&dir));
            exports.push(
                &line,
                "PATH",
                &format!("begins with {dir}, which has {PROGRAM}"),
            );
        }
        for (name, dir) in [
            ("PG_BIN_DIR", &database.pg_bin_dir),
            ("PORCHLIGHT_DATA_DIR", &database.data_dir),
        ] {
            if let Some(dir) = dir {
                let dir = dir.to_string_lossy();
                exports.set(name, &dir, &dir);
            }
        }
        exports
    }

    pub(super) fn set(&mut self, name: &str, value: &str, note: &str) {
        self.push(&format!("export {name}={}", quoted(value)), name, note);
    }

    fn push(&mut self, line: &str, name: &str, note: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "{line}");
        let _ = writeln!(self.notes, "  {name:<8} {note}");
    }

    pub(super) fn lines(&self) -> &str {
        self.lines.trim_end()
    }

    pub(super) fn notes(&self) -> &str {
        self.notes.trim_end()
    }
}

/// Whether a shell that looks for this program finds this file.
fn is_on_the_path(program: &Path) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates = env::split_paths(&path).map(|dir| dir.join(PROGRAM));
    let found = candidates.find(|candidate| candidate.is_file());
    found.is_some_and(|found| found.canonicalize().is_ok_and(|found| found == program))
}

/// A value that a shell takes as it is.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Where this machine reaches a service that listens on `addr`.
pub(super) fn local_url(addr: SocketAddr) -> String {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, addr.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_values_as_they_are() {
        let mut exports = Exports::default();
        exports.set("NAME", "it's $HOME", "a name");
        assert_eq!(exports.lines(), r"export NAME='it'\''s $HOME'");
        assert_eq!(exports.notes(), "  NAME     a name");
    }

    #[test]
    fn a_service_on_all_addresses_is_reached_on_the_loopback_address() {
        for (addr, url) in [
            ("0.0.0.0:3000", "http://127.0.0.1:3000"),
            ("[::]:80", "http://[::1]:80"),
            ("10.1.2.3:8080", "http://10.1.2.3:8080"),
        ] {
            assert_eq!(local_url(addr.parse().unwrap()), url);
        }
    }
}
