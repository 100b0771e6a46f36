//! The paths of one data directory.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};
use sha2::{Digest, Sha256};

use crate::error::Problem;

/// The port is only a part of the socket's file name: nothing listens on a network.
pub(crate) const PORT: u16 = 5432;
/// The file name that Postgres gives its socket.
pub(crate) const SOCKET_FILE: &str = ".s.PGSQL.5432";
/// The directory of the cluster, below the data directory.
pub(crate) const CLUSTER_DIR: &str = "postgres";
/// The operating system's limit is 108 bytes on Linux and 104 on macOS.
const SOCKET_PATH_MAX_BYTES: usize = 100;
/// The parent of the socket directory when the path inside the data directory is too long. It
/// does not depend on the environment, so that every instance finds the same socket.
const SHORT_SOCKET_PARENT: &str = "/tmp";
/// The bytes of the data directory's hash in the name of its short socket directory.
const SHORT_NAME_HASH_BYTES: usize = 8;
/// The parent of root's data directory.
const ROOT_DATA_PARENT: &str = "/var/lib";

#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The data directory, absolute and without symbolic links.
    pub(crate) root: PathBuf,
    /// The directory of the cluster.
    pub(crate) cluster: PathBuf,
    /// The file whose lock decides which instance owns the server.
    pub(crate) lock: PathBuf,
    /// The log of the server.
    pub(crate) log: PathBuf,
    pub(crate) socket_dir: PathBuf,
}

impl Layout {
    /// Creates the data directory if it does not exist.
    pub(crate) fn open(data_dir: &Path, application: &str) -> Result<Self, Problem> {
        create(data_dir).map_err(Problem::io("create the data directory", data_dir))?;
        let root = data_dir
            .canonicalize()
            .map_err(Problem::io("open the data directory", data_dir))?;
        Ok(Self::of(root, application))
    }

    fn of(root: PathBuf, application: &str) -> Self {
        Self {
            cluster: root.join(CLUSTER_DIR),
            lock: root.join("lock"),
            log: root.join("postgres.log"),
            socket_dir: socket_dir(&root, application),
            root,
        }
    }

    /// Whether the socket is outside the data directory, because its path was too long.
    pub(crate) fn has_short_socket_dir(&self) -> bool {
        !self.socket_dir.starts_with(&self.root)
    }
}

/// Only the directory itself is private; its parents get the usual permissions.
fn create(data_dir: &Path) -> std::io::Result<()> {
    if let Some(parent) = data_dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(data_dir) {
        Err(error) if !data_dir.is_dir() => Err(error),
        _ => Ok(()),
    }
}

fn socket_dir(root: &Path, application: &str) -> PathBuf {
    let inside = root.join("socket");
    if inside.join(SOCKET_FILE).as_os_str().len() <= SOCKET_PATH_MAX_BYTES {
        return inside;
    }
    let hash = Sha256::digest(root.as_os_str().as_bytes());
    let start = hash.iter().take(SHORT_NAME_HASH_BYTES);
    let tag = start.fold(0_u64, |tag, byte| (tag << 8) | u64::from(*byte));
    Path::new(SHORT_SOCKET_PARENT).join(format!("{application}-{tag:016x}"))
}

pub(crate) fn default_data_dir(application: &str) -> Result<PathBuf, Problem> {
    let me = geteuid();
    if me.is_root() {
        return Ok(Path::new(ROOT_DATA_PARENT).join(application));
    }
    let passwd_home = || User::from_uid(me).ok().flatten().map(|user| user.dir);
    let home = absolute(env::var_os("HOME")).or_else(passwd_home);
    let data_home = data_home(absolute(env::var_os("XDG_DATA_HOME")), home);
    Ok(data_home.ok_or(Problem::NoHome)?.join(application))
}

/// The XDG specification says to ignore paths that are not absolute.
fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

fn data_home(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    xdg.or_else(|| home.map(|home| home.join(".local/share")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &str) -> Layout {
        Layout::of(PathBuf::from(root), "acme")
    }

    #[test]
    fn a_short_data_directory_holds_its_socket() {
        let layout = layout("/var/lib/acme");
        assert_eq!(layout.socket_dir, Path::new("/var/lib/acme/socket"));
        assert!(!layout.has_short_socket_dir());
    }

    #[test]
    fn a_long_data_directory_has_its_socket_elsewhere_and_always_in_the_same_place() {
        let long = format!("/{}", "a".repeat(90));
        let other = format!("/{}", "b".repeat(90));
        let short = layout(&long);
        assert!(short.has_short_socket_dir());
        assert!(short.socket_dir.starts_with("/tmp"));
        assert!(short.socket_dir.to_str().unwrap().contains("/acme-"));
        assert!(short.socket_dir.join(SOCKET_FILE).as_os_str().len() <= SOCKET_PATH_MAX_BYTES);
        assert_eq!(short.socket_dir, layout(&long).socket_dir);
        assert_ne!(short.socket_dir, layout(&other).socket_dir);
    }

    #[test]
    fn xdg_data_home_wins_over_home_when_it_is_absolute() {
        let home = || Some(PathBuf::from("/home/ada"));
        assert_eq!(
            data_home(absolute(Some("/data".into())), home()),
            Some(PathBuf::from("/data"))
        );
        assert_eq!(
            data_home(absolute(Some("data".into())), home()),
            Some(PathBuf::from("/home/ada/.local/share"))
        );
        assert_eq!(data_home(None, None), None);
    }
}
