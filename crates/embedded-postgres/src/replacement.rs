//! A new cluster that is filled beside the one of a data directory, and then takes its place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::cluster;
use crate::config::EmbeddedConfig;
use crate::error::{EmbeddedError, Problem};
use crate::layout::{CLUSTER_DIR, Layout};
use crate::leftovers;
use crate::owner_lock::OwnerLock;

/// The right to replace the cluster of a data directory. While it exists, no server starts there.
///
/// The new cluster is made by an [`EmbeddedPostgres`](crate::EmbeddedPostgres) with [`config`](Self::config).
/// Dropping this without [`finish`](Self::finish) removes the new cluster and leaves the old one as it is.
#[derive(Debug)]
pub struct Replacement {
    config: EmbeddedConfig,
    layout: Layout,
    _lock: OwnerLock,
}

impl Replacement {
    /// Locks the data directory. Fails while a server runs on it.
    pub async fn begin(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let names = config.names;
        let begun = Self::lock(config).await;
        begun.map_err(|problem| EmbeddedError::new(problem, names))
    }

    async fn lock(mut config: EmbeddedConfig) -> Result<Self, Problem> {
        let layout = Layout::open(&config.data_dir, config.names.application)?;
        let lock = OwnerLock::try_take(&layout.lock)?;
        let lock = lock.ok_or_else(|| Problem::in_use(&layout))?;
        // Something else in the place of the cluster must stay.
        cluster::major(&layout.cluster)?;
        let account = Account::choose(&layout.cluster, &config.system_users)?;
        leftovers::clean_up(&layout).await?;
        account.open_data_dir(&layout.root)?;
        cluster::remove_unfinished(&layout.root)?;
        if account.switch {
            config.system_users = vec![account.name()];
        }
        let name = format!("{}{}", cluster::RESTORE_PREFIX, std::process::id());
        config.data_dir = layout.root.join(name);
        Ok(Self {
            config,
            layout,
            _lock: lock,
        })
    }

    /// What to start the server of the new cluster with. It must be stopped before [`finish`](Self::finish).
    #[must_use]
    pub fn config(&self) -> &EmbeddedConfig {
        &self.config
    }

    /// Puts the new cluster in the place of the old one, which is kept: its new directory has `tag` in its
    /// name. Returns that directory.
    pub fn finish(self, tag: &str) -> Result<Option<PathBuf>, EmbeddedError> {
        let replaced = self.replace(tag);
        replaced.map_err(|problem| EmbeddedError::new(problem, self.config.names))
    }

    fn replace(&self, tag: &str) -> Result<Option<PathBuf>, Problem> {
        let (root, cluster) = (&self.layout.root, &self.layout.cluster);
        let filled = root.join(format!("{CLUSTER_DIR}-restored-{tag}"));
        rename(&self.config.data_dir.join(CLUSTER_DIR), &filled)?;
        let kept = if cluster::is_in(root) {
            let kept = root.join(format!("{CLUSTER_DIR}-before-{tag}"));
            exchange(&filled, cluster, &kept)?;
            Some(kept)
        } else {
            rename(&filled, cluster)?;
            None
        };
        let sync = File::open(root).and_then(|root| root.sync_all());
        sync.map_err(Problem::io("sync", root))?;
        Ok(kept)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        let dir = &self.config.data_dir;
        if let Err(error) = fs::remove_dir_all(dir)
            && dir.exists()
        {
            // The next start removes it.
            tracing::warn!(dir = %dir.display(), %error, "left the directory of a restore");
        }
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Problem> {
    fs::rename(from, to).map_err(Problem::io("move a cluster to", to))
}

/// Puts `new` in the place of `current`, and what was there to `kept`. Where the system can, there is no moment
/// without a cluster: a service that starts then would make an empty one.
fn exchange(new: &Path, current: &Path, kept: &Path) -> Result<(), Problem> {
    if swap(new, current) {
        return rename(new, kept);
    }
    rename(current, kept)?;
    let moved = rename(new, current);
    if moved.is_err() {
        rename(kept, current)?;
    }
    moved
}

/// Exchanges two directories at once. Returns whether it did: not every file system can.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn swap(one: &Path, other: &Path) -> bool {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).is_ok()
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn swap(_one: &Path, _other: &Path) -> bool {
    false
}
