//! The system user that Postgres runs as. Postgres refuses to run as root.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use nix::unistd::{User, getegid, geteuid};

use crate::error::Problem;

/// The only file in a new data directory: the lock that was just taken.
const LOCK_FILE: &str = "lock";

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Whether it is another user than that of this process, which is root then.
    pub(crate) switch: bool,
}

impl Account {
    /// The user of this process. If that is root: the owner of the cluster, or the first of
    /// `system_users` that exists.
    pub(crate) fn choose(cluster: &Path, system_users: &[String]) -> Result<Self, Problem> {
        let owner = fs::metadata(cluster).ok();
        if geteuid().is_root() {
            return Self::instead_of_root(owner.as_ref(), system_users);
        }
        let me = Self {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            switch: false,
        };
        match owner {
            Some(owner) if owner.uid() != me.uid => Err(Problem::OtherOwner {
                dir: cluster.to_owned(),
                owner: name_of(owner.uid()),
                user: name_of(me.uid),
            }),
            _ => Ok(me),
        }
    }

    fn instead_of_root(owner: Option<&Metadata>, system_users: &[String]) -> Result<Self, Problem> {
        let account = |user: User| Self {
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
            _ => system_users
                .iter()
                .find_map(|name| User::from_name(name).ok().flatten())
                .map(account)
                .ok_or_else(|| Problem::NoSystemUser(system_users.join(", "))),
        }
    }

    /// The user name, or the user id where there is no name.
    pub(crate) fn name(&self) -> String {
        name_of(self.uid)
    }

    pub(crate) fn has_name(&self) -> bool {
        User::from_uid(self.uid.into()).is_ok_and(|user| user.is_some())
    }

    /// Makes this user the owner of one file or directory.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Problem> {
        if !self.switch {
            return Ok(());
        }
        lchown(path, Some(self.uid), Some(self.gid))
            .map_err(Problem::io("change the owner of", path))
    }

    /// Makes this user the owner of a directory and everything in it.
    pub(crate) fn give_tree(&self, path: &Path) -> Result<(), Problem> {
        self.give(path)?;
        if !path.is_dir() || path.is_symlink() {
            return Ok(());
        }
        let entries = fs::read_dir(path).map_err(Problem::io("list", path))?;
        for entry in entries {
            let entry = entry.map_err(Problem::io("list", path))?;
            self.give_tree(&entry.path())?;
        }
        Ok(())
    }

    /// Checks that this user can enter the data directory. A new directory is opened to the
    /// user's group. A directory with other content keeps its permissions.
    pub(crate) fn open_data_dir(&self, root: &Path) -> Result<(), Problem> {
        if self.switch && is_new(root) {
            lchown(root, None, Some(self.gid))
                .and_then(|()| fs::set_permissions(root, fs::Permissions::from_mode(0o710)))
                .map_err(Problem::io("set the permissions of", root))?;
        }
        self.must_reach(root)
    }

    /// Fails when this user may not enter one of the directories of `path`.
    pub(crate) fn must_reach(&self, path: &Path) -> Result<(), Problem> {
        if !self.switch {
            return Ok(());
        }
        let ancestors: Vec<_> = path.ancestors().collect();
        match ancestors.iter().rev().find(|dir| !self.may_enter(dir)) {
            None => Ok(()),
            Some(blocked) => Err(Problem::NotReachable {
                user: self.name(),
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

fn is_new(root: &Path) -> bool {
    fs::read_dir(root).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK_FILE))
    })
}
