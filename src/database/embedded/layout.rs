//! Where everything lies.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};
use sha2::{Digest, Sha256};

use super::EmbeddedError;
use super::socket::SOCKET_FILE;

/// The system's own limit is 108 bytes on Linux and 104 on macOS.
const SOCKET_PATH_MAX_BYTES: usize = 100;
/// Where a socket goes that would have too long a path. The same for everybody, whatever
/// the environment says, so that a second instance finds it.
const SHORT_SOCKET_PARENT: &str = "/tmp";
/// How much of the data directory's hash is in the name of its short socket directory.
const SHORT_NAME_HASH_BYTES: usize = 8;
const ROOT_DATA_DIR: &str = "/var/lib/porchlight";

/// The places of one data directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The data directory, absolute and without symbolic links.
    pub(super) root: PathBuf,
    /// Postgres' own files.
    pub(super) cluster: PathBuf,
    /// The file whose lock says who owns the server.
    pub(super) lock: PathBuf,
    /// What Postgres has to say.
    pub(super) log: PathBuf,
    /// The directory of the unix socket.
    pub(super) socket_dir: PathBuf,
}

impl Layout {
    /// Makes the data directory if need be.
    pub(super) fn open(data_dir: &Path) -> Result<Self, EmbeddedError> {
        create(data_dir).map_err(EmbeddedError::io("create the data directory", data_dir))?;
        let root = data_dir
            .canonicalize()
            .map_err(EmbeddedError::io("open the data directory", data_dir))?;
        Ok(Self::of(root))
    }

    fn of(root: PathBuf) -> Self {
        Self {
            cluster: root.join("postgres"),
            lock: root.join("lock"),
            log: root.join("postgres.log"),
            socket_dir: socket_dir(&root),
            root,
        }
    }

    /// Whether the socket had to go outside the data directory.
    pub(super) fn has_short_socket_dir(&self) -> bool {
        !self.socket_dir.starts_with(&self.root)
    }
}

/// Its parents are anybody's, the directory itself is ours alone.
fn create(data_dir: &Path) -> std::io::Result<()> {
    if let Some(parent) = data_dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(data_dir) {
        Err(error) if !data_dir.is_dir() => Err(error),
        _ => Ok(()),
    }
}

fn socket_dir(root: &Path) -> PathBuf {
    let inside = root.join("socket");
    if inside.join(SOCKET_FILE).as_os_str().len() <= SOCKET_PATH_MAX_BYTES {
        return inside;
    }
    let hash = Sha256::digest(root.as_os_str().as_bytes());
    let start = hash.iter().take(SHORT_NAME_HASH_BYTES);
    let tag = start.fold(0_u64, |tag, byte| (tag << 8) | u64::from(*byte));
    Path::new(SHORT_SOCKET_PARENT).join(format!("porchlight-{tag:016x}"))
}

/// Where the data goes when nobody says: `/var/lib/porchlight` for root, else below
/// `$XDG_DATA_HOME` or `~/.local/share`.
pub fn default_data_dir() -> Result<PathBuf, EmbeddedError> {
    let me = geteuid();
    if me.is_root() {
        return Ok(PathBuf::from(ROOT_DATA_DIR));
    }
    let passwd_home = || User::from_uid(me).ok().flatten().map(|user| user.dir);
    let home = absolute(env::var_os("HOME")).or_else(passwd_home);
    data_home(absolute(env::var_os("XDG_DATA_HOME")), home).ok_or(EmbeddedError::NoHome)
}

/// The XDG specification says to ignore what is not absolute.
fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

fn data_home(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let shared = xdg.or_else(|| home.map(|home| home.join(".local/share")))?;
    Some(shared.join("porchlight"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_data_directory_holds_its_socket() {
        let layout = Layout::of(PathBuf::from("/var/lib/porchlight"));
        assert_eq!(layout.socket_dir, Path::new("/var/lib/porchlight/socket"));
        assert!(!layout.has_short_socket_dir());
    }

    #[test]
    fn a_long_data_directory_has_its_socket_elsewhere_and_always_in_the_same_place() {
        let long = PathBuf::from(format!("/{}", "a".repeat(90)));
        let other = PathBuf::from(format!("/{}", "b".repeat(90)));
        let layout = Layout::of(long.clone());
        assert!(layout.has_short_socket_dir());
        assert!(layout.socket_dir.join(SOCKET_FILE).as_os_str().len() <= SOCKET_PATH_MAX_BYTES);
        assert_eq!(layout.socket_dir, Layout::of(long).socket_dir);
        assert_ne!(layout.socket_dir, Layout::of(other).socket_dir);
    }

    #[test]
    fn xdg_data_home_wins_over_home_when_it_is_absolute() {
        let home = || Some(PathBuf::from("/home/ada"));
        assert_eq!(
            data_home(absolute(Some("/data".into())), home()),
            Some(PathBuf::from("/data/porchlight"))
        );
        assert_eq!(
            data_home(absolute(Some("data".into())), home()),
            Some(PathBuf::from("/home/ada/.local/share/porchlight"))
        );
        assert_eq!(data_home(None, None), None);
    }
}
