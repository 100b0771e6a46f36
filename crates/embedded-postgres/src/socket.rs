//! The directory of the unix socket. Postgres accepts everyone who can enter it as superuser,
//! so only the user that Postgres runs as (and root) may.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use nix::unistd::geteuid;

use crate::account::Account;
use crate::error::Problem;
use crate::layout::{Layout, SOCKET_FILE};

const SOCKET_LOCK_FILE: &str = ".s.PGSQL.5432.lock";

/// Creates the directory, or checks that an existing one is safe.
pub(crate) fn prepare_dir(dir: &Path, account: &Account) -> Result<(), Problem> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Problem::io("create the socket directory", dir)(error));
        }
        _ => {}
    }
    must_belong_to(dir, &[account.uid, geteuid().as_raw()])?;
    account.give(dir)
}

/// Whether there is a socket, in a directory that belongs to the owner of the cluster.
pub(crate) fn is_there(layout: &Layout) -> Result<bool, Problem> {
    let Ok(cluster) = fs::metadata(&layout.cluster) else {
        return Ok(false);
    };
    if !layout.socket_dir.join(SOCKET_FILE).exists() {
        return Ok(false);
    }
    must_belong_to(&layout.socket_dir, &[cluster.uid()])?;
    Ok(true)
}

/// Removes the socket of a server that has ended. Postgres would believe its lock file if the
/// process id in it belongs to another process by now.
pub(crate) fn remove_stale(layout: &Layout) -> Result<(), Problem> {
    for name in [SOCKET_FILE, SOCKET_LOCK_FILE] {
        let path = layout.socket_dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Problem::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn remove_short_dir(layout: &Layout) {
    if layout.has_short_socket_dir()
        && let Err(error) = fs::remove_dir(&layout.socket_dir)
    {
        tracing::debug!(dir = %layout.socket_dir.display(), %error, "left the socket directory");
    }
}

/// Every user may create a directory below `/tmp`, so an existing one must be checked.
fn must_belong_to(dir: &Path, owners: &[u32]) -> Result<(), Problem> {
    let found = fs::symlink_metadata(dir).map_err(Problem::io("look at", dir))?;
    let why = if !found.is_dir() {
        "it is not a directory".to_owned()
    } else if !owners.contains(&found.uid()) {
        format!("it belongs to user {}", found.uid())
    } else if found.mode() & 0o077 != 0 {
        format!("others may enter it (mode {:o})", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    let dir = dir.to_owned();
    Err(Problem::SocketDir { dir, why })
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
