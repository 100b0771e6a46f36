//! What can go wrong with a Postgres of our own, told to a stranger.

use std::io;
use std::path::{Path, PathBuf};

use super::START_LIMIT;
use super::layout::Layout;

/// Why there is no embedded Postgres. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No usable Postgres was found.
    #[error(
        "no Postgres 15 or newer was found. Looked at:{looked}\nInstall one (Debian and Ubuntu: \
         `apt-get install postgresql`; macOS: `brew install postgresql@17`), or name the \
         directory of its binaries in PG_BIN_DIR, or name a running database in DATABASE_URL"
    )]
    NoBinaries {
        /// One line for each place.
        looked: String,
    },
    /// The directory that was named does not serve.
    #[error("PG_BIN_DIR names {}, but {why}", dir.display())]
    BinDir {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The cluster was made by another major version.
    #[error(
        "the cluster in {} was made by Postgres {cluster}, but the binaries in {} are Postgres \
         {binaries}. Install Postgres {cluster} or name its directory in PG_BIN_DIR, or move the \
         data with pg_upgrade, or set PORCHLIGHT_DATA_DIR to another directory to start empty",
        dir.display(), bin_dir.display()
    )]
    OtherVersion {
        /// The cluster.
        dir: PathBuf,
        /// Its major version.
        cluster: u32,
        /// The binaries.
        bin_dir: PathBuf,
        /// Their major version.
        binaries: u32,
    },
    /// Something lies where the cluster should be.
    #[error(
        "{} is not empty and not a Postgres cluster (it has no PG_VERSION). Move it away, or set \
         PORCHLIGHT_DATA_DIR to another directory", .0.display()
    )]
    NotACluster(PathBuf),
    /// The account that Postgres runs as cannot get to a directory.
    #[error(
        "Postgres does not run as root, so it runs as \"{account}\", who may not enter {} on the \
         way to {}. Set PORCHLIGHT_DATA_DIR to a directory outside it, such as \
         /var/lib/porchlight, or run `chmod o+x {}`", blocked.display(), path.display(), blocked.display()
    )]
    NotReachable {
        /// Whom Postgres runs as.
        account: String,
        /// The directory that is closed.
        blocked: PathBuf,
        /// What lies behind it.
        path: PathBuf,
    },
    /// The cluster is somebody else's.
    #[error(
        "the cluster in {} belongs to user {owner}, and this process runs as user {user}. Run it \
         as that user, or set PORCHLIGHT_DATA_DIR to another directory", dir.display()
    )]
    OtherOwner {
        /// The cluster.
        dir: PathBuf,
        /// Who owns it.
        owner: String,
        /// Who we are.
        user: String,
    },
    /// There is nobody to run Postgres as.
    #[error(
        "Postgres does not run as root, and there is neither a user \"postgres\" nor \"nobody\" \
         to run it as. Add one (`useradd --system postgres`), or start Porchlight as another user"
    )]
    NoAccount,
    /// `initdb` insists on a name.
    #[error(
        "initdb needs a name for user {0}, and /etc/passwd has none. Add an entry for it, or run \
         as a user who has one"
    )]
    Nameless(String),
    /// Neither a home nor a setting says where the data should be.
    #[error("there is no home directory to keep the data in: set PORCHLIGHT_DATA_DIR")]
    NoHome,
    /// The directory for the socket is not safe to use.
    #[error(
        "the socket directory {} is not ours alone: {why}. Remove it, or set PORCHLIGHT_DATA_DIR \
         to a shorter path, so that the socket fits inside", dir.display()
    )]
    SocketDir {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb ({}) could not make a cluster: {output}", program.display())]
    InitDb {
        /// The program.
        program: PathBuf,
        /// What it said.
        output: String,
    },
    /// The server ended while it started.
    #[error("Postgres ended while starting: {said}\n(its log is {})", log.display())]
    Ended {
        /// Its last words.
        said: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// The server runs but does not answer.
    #[error(
        "Postgres did not answer within {} seconds: {last} (its log is {})",
        START_LIMIT.as_secs(), log.display()
    )]
    NotReady {
        /// The last refusal.
        last: String,
        /// Where more is.
        log: PathBuf,
    },
    /// The owner of the data directory has no server that answers.
    #[error(
        "another Porchlight (process {holder}) holds {}, but its Postgres did not answer within \
         {} seconds. Stop that process, or set PORCHLIGHT_DATA_DIR to another directory",
        dir.display(), START_LIMIT.as_secs()
    )]
    OwnerSilent {
        /// The data directory.
        dir: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// A server of an earlier run does not end.
    #[error("the Postgres of an earlier run (process {0}) does not stop; end it by hand")]
    Leftover(i32),
    /// The server died again and again.
    #[error("Postgres keeps dying: {said}\n(its log is {})", log.display())]
    GaveUp {
        /// Its last words.
        said: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// The database could not be made.
    #[error("the database could not be made: {0}")]
    Database(#[from] sqlx::Error),
    /// The runtime ended under the work.
    #[error("the preparation of Postgres was interrupted: {0}")]
    Interrupted(tokio::task::JoinError),
}

impl EmbeddedError {
    /// For `map_err`: what was tried on which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(super) fn owner_silent(layout: &Layout) -> Self {
        let holder = std::fs::read_to_string(&layout.lock).unwrap_or_default();
        Self::OwnerSilent {
            dir: layout.root.clone(),
            holder: holder.trim().to_owned(),
        }
    }

    pub(super) fn gave_up(said: String, log: &Path) -> Self {
        let log = log.to_owned();
        Self::GaveUp { said, log }
    }
}
