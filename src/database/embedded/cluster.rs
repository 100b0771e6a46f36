//! The files of the cluster: made once, whole or not at all, and never touched by another
//! version.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::EmbeddedError;
use super::account::Account;
use super::binaries::Binaries;
use super::layout::Layout;
use super::{command, socket};

/// A cluster in the making has this before our process id in its name.
const UNFINISHED_PREFIX: &str = "initdb-";

/// The major version that made the cluster; none if there is no cluster yet.
pub(super) fn major(cluster: &Path) -> Result<Option<u32>, EmbeddedError> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(version) => match version.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(EmbeddedError::NotACluster(cluster.to_owned())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if fs::read_dir(cluster).is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(EmbeddedError::NotACluster(cluster.to_owned()));
            }
            Ok(None)
        }
        Err(error) => Err(EmbeddedError::io("read", &path)(error)),
    }
}

/// Takes an existing cluster as it is, if these binaries can.
pub(super) fn adopt(
    layout: &Layout,
    major: u32,
    binaries: &Binaries,
    account: &Account,
) -> Result<(), EmbeddedError> {
    if major != binaries.major {
        return Err(EmbeddedError::OtherVersion {
            dir: layout.cluster.clone(),
            cluster: major,
            bin_dir: binaries.dir.clone(),
            binaries: binaries.major,
        });
    }
    // A copy restored by root belongs to root, and Postgres would refuse it.
    let owner = fs::metadata(&layout.cluster).map(|found| found.uid());
    if owner.is_ok_and(|owner| owner != account.uid) {
        account.give_tree(&layout.cluster)?;
    }
    remove_unfinished(&layout.root)
}

/// Makes a cluster beside its place and moves it there when it is whole.
pub(super) fn create(
    layout: &Layout,
    binaries: &Binaries,
    account: &Account,
    durable: bool,
) -> Result<(), EmbeddedError> {
    if !account.has_name() {
        return Err(EmbeddedError::Nameless(account.name()));
    }
    remove_unfinished(&layout.root)?;
    let unfinished = make_unfinished(&layout.root, account)?;
    if let Err(error) = run_initdb(&unfinished, binaries, account, durable) {
        remove_unfinished(&layout.root)?;
        return Err(error);
    }
    fs::rename(&unfinished, &layout.cluster).map_err(EmbeddedError::io(
        "move the new cluster to",
        &layout.cluster,
    ))?;
    if durable {
        File::open(&layout.root)
            .and_then(|root| root.sync_all())
            .map_err(EmbeddedError::io("sync", &layout.root))?;
    }
    tracing::info!(cluster = %layout.cluster.display(), major = binaries.major, "made a cluster");
    Ok(())
}

fn make_unfinished(root: &Path, account: &Account) -> Result<PathBuf, EmbeddedError> {
    let dir = root.join(format!("{UNFINISHED_PREFIX}{}", std::process::id()));
    DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .map_err(EmbeddedError::io("create", &dir))?;
    account.give(&dir)?;
    Ok(dir)
}

fn run_initdb(
    dir: &Path,
    binaries: &Binaries,
    account: &Account,
    durable: bool,
) -> Result<(), EmbeddedError> {
    let program = binaries.program("initdb");
    let mut initdb = command::of(&program, account);
    initdb
        .arg("--pgdata")
        .arg(dir)
        .args(["--username", socket::SUPERUSER, "--no-instructions"])
        .args(["--encoding", "UTF8", "--locale", "C"])
        .args(["--auth-local", "trust", "--auth-host", "reject"])
        // A new segment of the log is filled with zeros while commits wait: 16 MB are a stall.
        .args(["--wal-segsize", "1"])
        .arg(if durable {
            "--data-checksums"
        } else {
            "--no-sync"
        });
    let answer = initdb
        .output()
        .map_err(EmbeddedError::io("run", &program))?;
    if answer.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    let output = format!("{} ({})", said.trim(), answer.status);
    Err(EmbeddedError::InitDb { program, output })
}

/// Removes what a crash in the middle of `initdb` has left.
fn remove_unfinished(root: &Path) -> Result<(), EmbeddedError> {
    let entries = fs::read_dir(root).map_err(EmbeddedError::io("list", root))?;
    for entry in entries {
        let entry = entry.map_err(EmbeddedError::io("list", root))?;
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(UNFINISHED_PREFIX.as_bytes())
        {
            fs::remove_dir_all(entry.path()).map_err(EmbeddedError::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_other_things_in_it_is_no_cluster() {
        let dir = tempfile::tempdir().unwrap();
        assert!(major(&dir.path().join("absent")).unwrap().is_none());
        assert!(major(dir.path()).unwrap().is_none());
        fs::write(dir.path().join("diary"), "dear").unwrap();
        assert!(matches!(
            major(dir.path()),
            Err(EmbeddedError::NotACluster(_))
        ));
        fs::write(dir.path().join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(major(dir.path()).unwrap(), Some(15));
    }
}
