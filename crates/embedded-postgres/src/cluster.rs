//! The files of the cluster. They are created completely or not at all, and no other version
//! of Postgres touches them.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::binaries::Binaries;
use crate::command;
use crate::config::EmbeddedConfig;
use crate::error::Problem;
use crate::layout::{CLUSTER_DIR, Layout};
use crate::wal_segments;

/// A complete cluster has this file.
const VERSION_FILE: &str = "PG_VERSION";
/// A cluster is created in a directory with this prefix and the process id.
const UNFINISHED_PREFIX: &str = "initdb-";
/// A cluster is restored in a directory with this prefix and the process id.
pub(crate) const RESTORE_PREFIX: &str = "restore-";

/// Whether there is a cluster in this data directory.
pub(crate) fn is_in(data_dir: &Path) -> bool {
    data_dir.join(CLUSTER_DIR).join(VERSION_FILE).exists()
}

/// The major version of the cluster; `None` when there is no cluster.
pub(crate) fn major(cluster: &Path) -> Result<Option<u32>, Problem> {
    let path = cluster.join(VERSION_FILE);
    match fs::read_to_string(&path) {
        Ok(version) => match version.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(Problem::NotACluster(cluster.to_owned())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if fs::read_dir(cluster).is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(Problem::NotACluster(cluster.to_owned()));
            }
            Ok(None)
        }
        Err(error) => Err(Problem::io("read", &path)(error)),
    }
}

/// Tells the directory of a cluster from another one that takes its place. Both are there at the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClusterId {
    device: u64,
    inode: u64,
}

pub(crate) fn id(cluster: &Path) -> Option<ClusterId> {
    let found = fs::metadata(cluster).ok()?;
    Some(ClusterId {
        device: found.dev(),
        inode: found.ino(),
    })
}

/// Takes an existing cluster if the binaries have its version.
pub(crate) fn adopt(
    layout: &Layout,
    major: u32,
    binaries: &Binaries,
    account: &Account,
) -> Result<(), Problem> {
    if major != binaries.major {
        return Err(Problem::OtherVersion {
            dir: layout.cluster.clone(),
            cluster: major,
            bin_dir: binaries.dir.clone(),
            binaries: binaries.major,
        });
    }
    // A copy that root restored belongs to root, and Postgres would refuse it.
    let owner = fs::metadata(&layout.cluster).map(|found| found.uid());
    if owner.is_ok_and(|owner| owner != account.uid) {
        account.give_tree(&layout.cluster)?;
    }
    remove_unfinished(&layout.root)
}

/// Creates a cluster in another directory and renames it when it is complete.
pub(crate) fn create(
    config: &EmbeddedConfig,
    layout: &Layout,
    binaries: &Binaries,
    account: &Account,
) -> Result<(), Problem> {
    if !account.has_name() {
        return Err(Problem::Nameless(account.name()));
    }
    remove_unfinished(&layout.root)?;
    let unfinished = create_unfinished(&layout.root, account)?;
    let mut made = run_initdb(config, &unfinished, binaries, account);
    if config.durable {
        made = made.and_then(|()| wal_segments::make(&unfinished, account));
    }
    if let Err(error) = made {
        remove_unfinished(&layout.root)?;
        return Err(error);
    }
    fs::rename(&unfinished, &layout.cluster)
        .map_err(Problem::io("move the new cluster to", &layout.cluster))?;
    if config.durable {
        File::open(&layout.root)
            .and_then(|root| root.sync_all())
            .map_err(Problem::io("sync", &layout.root))?;
    }
    let cluster = layout.cluster.display();
    tracing::info!(%cluster, major = binaries.major, "created a Postgres cluster");
    Ok(())
}

fn create_unfinished(root: &Path, account: &Account) -> Result<PathBuf, Problem> {
    let dir = root.join(format!("{UNFINISHED_PREFIX}{}", std::process::id()));
    DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .map_err(Problem::io("create", &dir))?;
    account.give(&dir)?;
    Ok(dir)
}

fn run_initdb(
    config: &EmbeddedConfig,
    dir: &Path,
    binaries: &Binaries,
    account: &Account,
) -> Result<(), Problem> {
    let program = binaries.program("initdb");
    let mut initdb = command::new(&program, account);
    initdb
        .arg("--pgdata")
        .arg(dir)
        .args(["--username", &config.superuser, "--no-instructions"])
        .args(["--encoding", "UTF8", "--locale", "C"])
        .args(["--auth-local", "trust", "--auth-host", "reject"])
        .args(["--wal-segsize", wal_segments::SEGMENT_MEGABYTES])
        .arg(if config.durable {
            "--data-checksums"
        } else {
            "--no-sync"
        });
    let answer = initdb.output().map_err(Problem::io("run", &program))?;
    if answer.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&answer.stderr);
    let output = format!("{} ({})", stderr.trim(), answer.status);
    Err(Problem::InitDb { program, output })
}

/// Removes the directories of runs of `initdb` and of restores that did not complete.
pub(crate) fn remove_unfinished(root: &Path) -> Result<(), Problem> {
    let entries = fs::read_dir(root).map_err(Problem::io("list", root))?;
    for entry in entries {
        let entry = entry.map_err(Problem::io("list", root))?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let is_unfinished = |prefix: &str| name.starts_with(prefix.as_bytes());
        if is_unfinished(UNFINISHED_PREFIX) || is_unfinished(RESTORE_PREFIX) {
            fs::remove_dir_all(entry.path()).map_err(Problem::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_other_content_is_not_a_cluster() {
        let dir = tempfile::tempdir().unwrap();
        assert!(major(&dir.path().join("absent")).unwrap().is_none());
        assert!(major(dir.path()).unwrap().is_none());
        fs::write(dir.path().join("diary"), "dear").unwrap();
        assert!(matches!(major(dir.path()), Err(Problem::NotACluster(_))));
        fs::write(dir.path().join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(major(dir.path()).unwrap(), Some(15));
    }
}
