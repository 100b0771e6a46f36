//! Whom Postgres runs as: it refuses to be root.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use nix::unistd::{User, getegid, geteuid};

use super::EmbeddedError;

/// Whom root becomes, the first that exists.
const STAND_INS: [&str; 2] = ["postgres", "nobody"];
/// What a data directory holds before anything is in it: the lock we have just taken.
const FRESH: &str = "lock";

/// The user that Postgres runs as.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether that is somebody other than we are; only root can do that.
    pub(super) switch: bool,
}

impl Account {
    /// We ourselves; for root the owner of the cluster, or a stand-in if there is none yet.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let owner = fs::metadata(cluster).ok();
        if geteuid().is_root() {
            return Self::instead_of_root(owner.as_ref());
        }
        let me = Self {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            switch: false,
        };
        match owner {
            Some(owner) if owner.uid() != me.uid => Err(EmbeddedError::OtherOwner {
                dir: cluster.to_owned(),
                owner: name_of(owner.uid()),
                user: name_of(me.uid),
            }),
            _ => Ok(me),
        }
    }

    fn instead_of_root(owner: Option<&Metadata>) -> Result<Self, EmbeddedError> {
        let stand_in = |user: User| Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            switch: true,
        };
        match owner {
            Some(owner) if owner.uid() != 0 => Ok(Self {
                uid: owner.uid(),
                gid: owner.gid(),
                switch: true,
            }),
            _ => STAND_INS
                .iter()
                .find_map(|name| User::from_name(name).ok().flatten())
                .map(stand_in)
                .ok_or(EmbeddedError::NoAccount),
        }
    }

    /// Its name, or its number if it has none.
    pub(super) fn name(&self) -> String {
        name_of(self.uid)
    }

    /// Whether the system knows it by name.
    pub(super) fn has_name(&self) -> bool {
        User::from_uid(self.uid.into()).is_ok_and(|user| user.is_some())
    }

    /// Hands one file or directory over to it.
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.switch {
            return Ok(());
        }
        lchown(path, Some(self.uid), Some(self.gid))
            .map_err(EmbeddedError::io("change the owner of", path))
    }

    /// Hands a directory over with all that is in it.
    pub(super) fn give_tree(&self, path: &Path) -> Result<(), EmbeddedError> {
        self.give(path)?;
        if !path.is_dir() || path.is_symlink() {
            return Ok(());
        }
        let entries = fs::read_dir(path).map_err(EmbeddedError::io("list", path))?;
        for entry in entries {
            let entry = entry.map_err(EmbeddedError::io("list", path))?;
            self.give_tree(&entry.path())?;
        }
        Ok(())
    }

    /// Makes sure that it can get to the data directory: a fresh one is opened to its
    /// group, one with somebody's things in it is left as it is and refused in words.
    pub(super) fn let_into(&self, root: &Path) -> Result<(), EmbeddedError> {
        if self.switch && is_fresh(root) {
            lchown(root, None, Some(self.gid))
                .and_then(|()| fs::set_permissions(root, fs::Permissions::from_mode(0o710)))
                .map_err(EmbeddedError::io("set the permissions of", root))?;
        }
        self.must_reach(root)
    }

    /// Refuses if a directory on the way is closed to it.
    pub(super) fn must_reach(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.switch {
            return Ok(());
        }
        let ancestors: Vec<_> = path.ancestors().collect();
        match ancestors.iter().rev().find(|dir| !self.may_enter(dir)) {
            None => Ok(()),
            Some(blocked) => Err(EmbeddedError::NotReachable {
                account: self.name(),
                blocked: blocked.to_path_buf(),
                path: path.to_owned(),
            }),
        }
    }

    fn may_enter(&self, dir: &Path) -> bool {
        fs::metadata(dir).is_ok_and(|found| {
            let bit = match (found.uid() == self.uid, found.gid() == self.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            found.mode() & bit != 0
        })
    }
}

fn name_of(uid: u32) -> String {
    match User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

fn is_fresh(root: &Path) -> bool {
    fs::read_dir(root).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == FRESH))
    })
}
