//! The directory of the unix socket. Whoever can enter it is let in as superuser, so it is
//! closed to all but the account that Postgres runs as (and root).

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use nix::unistd::geteuid;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::EmbeddedError;
use super::account::Account;
use super::layout::Layout;

/// The port is but a part of the socket's name: nothing listens on a network.
pub(super) const PORT: u16 = 5432;
/// How Postgres names its socket.
pub(super) const SOCKET_FILE: &str = ".s.PGSQL.5432";
const SOCKET_LOCK_FILE: &str = ".s.PGSQL.5432.lock";
/// The superuser of our clusters.
pub(super) const SUPERUSER: &str = "postgres";

/// How to connect to a database over the socket in `dir`.
pub(super) fn connect_options(dir: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(dir)
        .port(PORT)
        .username(SUPERUSER)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

/// Makes the directory, or makes sure that an existing one is safe.
pub(super) fn prepare_dir(dir: &Path, account: &Account) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(EmbeddedError::io("create the socket directory", dir)(error));
        }
        _ => {}
    }
    must_belong_to(dir, &[account.uid, geteuid().as_raw()])?;
    account.give(dir)
}

/// Whether an owner of the data directory has put a socket there that we can trust.
pub(super) fn is_there(layout: &Layout) -> Result<bool, EmbeddedError> {
    let Ok(cluster) = fs::metadata(&layout.cluster) else {
        return Ok(false);
    };
    if !layout.socket_dir.join(SOCKET_FILE).exists() {
        return Ok(false);
    }
    must_belong_to(&layout.socket_dir, &[cluster.uid()])?;
    Ok(true)
}

/// Removes a socket that nobody listens on any more. Its lock file would otherwise be
/// believed if its process id has been given to somebody else.
pub(super) fn remove_stale(layout: &Layout) -> Result<(), EmbeddedError> {
    for name in [SOCKET_FILE, SOCKET_LOCK_FILE] {
        let path = layout.socket_dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(EmbeddedError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Leaves nothing behind outside the data directory.
pub(super) fn remove_short_dir(layout: &Layout) {
    if layout.has_short_socket_dir()
        && let Err(error) = fs::remove_dir(&layout.socket_dir)
    {
        tracing::debug!(dir = %layout.socket_dir.display(), %error, "left the socket directory");
    }
}

/// Anybody may make a directory below `/tmp`, so one that exists must prove itself.
fn must_belong_to(dir: &Path, owners: &[u32]) -> Result<(), EmbeddedError> {
    let found = fs::symlink_metadata(dir).map_err(EmbeddedError::io("look at", dir))?;
    let why = if !found.is_dir() {
        "it is no directory".to_owned()
    } else if !owners.contains(&found.uid()) {
        format!("it belongs to user {}", found.uid())
    } else if found.mode() & 0o077 != 0 {
        format!("others may enter it (mode {:o})", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    let dir = dir.to_owned();
    Err(EmbeddedError::SocketDir { dir, why })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn me() -> u32 {
        geteuid().as_raw()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_socket_directory_that_others_may_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o700);
        must_belong_to(dir.path(), &[me()]).unwrap();
        set_mode(dir.path(), 0o750);
        assert!(must_belong_to(dir.path(), &[me()]).is_err());
    }

    #[test]
    fn a_socket_directory_of_somebody_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o700);
        assert!(must_belong_to(dir.path(), &[me() + 1]).is_err());
    }

    #[test]
    fn a_symbolic_link_is_no_socket_directory() {
        let dir = tempfile::tempdir().unwrap();
        let target = tempfile::tempdir().unwrap();
        set_mode(target.path(), 0o700);
        let link = dir.path().join("link");
        symlink(target.path(), &link).unwrap();
        assert!(must_belong_to(&link, &[me()]).is_err());
    }
}
