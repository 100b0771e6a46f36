//! What can go wrong. Messages are for people who have never heard of this crate.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Names;
use crate::layout::Layout;
use crate::limits::START_LIMIT;

/// Why there is no embedded Postgres. The message says what is wrong and what to do about it.
#[derive(Debug)]
pub struct EmbeddedError {
    problem: Box<Problem>,
    names: Names,
}

impl EmbeddedError {
    pub(crate) fn new(problem: Problem, names: Names) -> Self {
        let problem = Box::new(problem);
        Self { problem, names }
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)?;
        let Some(advice) = self.problem.advice(self.names) else {
            return Ok(());
        };
        // The list of directories ends with a line of its own.
        let separator = match *self.problem {
            Problem::NoBinaries { .. } => "\n",
            _ => ". ",
        };
        write!(f, "{separator}{advice}")
    }
}

impl Error for EmbeddedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No usable Postgres was found.
    #[error("no Postgres {oldest_major} or newer was found. Looked at:{looked}")]
    NoBinaries {
        /// The oldest version that is accepted.
        oldest_major: u32,
        /// One line for each directory.
        looked: String,
    },
    /// The configured directory of binaries cannot be used.
    #[error("the Postgres in {} cannot be used: {why}", dir.display())]
    BinDir {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The cluster was made by another major version.
    #[error(
        "the cluster in {} was made by Postgres {cluster}, but the binaries in {} are Postgres \
         {binaries}", dir.display(), bin_dir.display()
    )]
    OtherVersion {
        /// The directory of the cluster.
        dir: PathBuf,
        /// The major version of the cluster.
        cluster: u32,
        /// The directory of the binaries.
        bin_dir: PathBuf,
        /// The major version of the binaries.
        binaries: u32,
    },
    /// The directory of the cluster holds something else.
    #[error("{} is not empty and not a Postgres cluster (it has no PG_VERSION)", .0.display())]
    NotACluster(PathBuf),
    /// The system user that Postgres runs as may not enter a directory.
    #[error(
        "Postgres does not run as root, so it runs as \"{user}\", who may not enter {} on the \
         way to {}", blocked.display(), path.display()
    )]
    NotReachable {
        /// The system user.
        user: String,
        /// The directory that cannot be entered.
        blocked: PathBuf,
        /// The directory below it that is needed.
        path: PathBuf,
    },
    /// The cluster belongs to another system user.
    #[error(
        "the cluster in {} belongs to user {owner}, and this process runs as user {user}",
        dir.display()
    )]
    OtherOwner {
        /// The directory of the cluster.
        dir: PathBuf,
        /// The user that owns it.
        owner: String,
        /// The user of this process.
        user: String,
    },
    /// This process is root, and no other system user is there to run Postgres as.
    #[error("Postgres does not run as root, and none of these users exists to run it as: {0}")]
    NoSystemUser(String),
    /// `initdb` needs a user name and the system has none for this user id.
    #[error("initdb needs a name for user {0}, and /etc/passwd has none")]
    Nameless(String),
    /// There is no default for the data directory.
    #[error("there is no home directory to keep the data in")]
    NoHome,
    /// The directory of the socket is not safe to use.
    #[error("the socket directory {} is not private: {why}", dir.display())]
    SocketDir {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb ({}) could not create a cluster: {output}", program.display())]
    InitDb {
        /// The program.
        program: PathBuf,
        /// Its error output.
        output: String,
    },
    /// The server exited while it started.
    #[error("Postgres ended while starting: {log_end}\n(its log is {})", log.display())]
    Ended {
        /// The end of its log.
        log_end: String,
        /// The whole log.
        log: PathBuf,
    },
    /// The server runs and does not answer.
    #[error(
        "Postgres did not answer within {} seconds: {last} (its log is {})",
        START_LIMIT.as_secs(), log.display()
    )]
    NotReady {
        /// The last failed attempt.
        last: String,
        /// The server's log.
        log: PathBuf,
    },
    /// The cluster cannot be replaced while a server runs on it.
    #[error("process {holder} runs the database in {}", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process id of the owner.
        holder: String,
    },
    /// Another instance owns the data directory, and its server does not answer.
    #[error(
        "another instance (process {holder}) holds {}, but its Postgres did not answer within \
         {} seconds", dir.display(), START_LIMIT.as_secs()
    )]
    OwnerSilent {
        /// The data directory.
        dir: PathBuf,
        /// The process id of the owner.
        holder: String,
    },
    /// A server that an earlier run left behind does not stop.
    #[error("the Postgres of an earlier run (process {0}) does not stop")]
    Leftover(i32),
    /// The server crashed too often.
    #[error("Postgres keeps dying: {log_end}\n(its log is {})", log.display())]
    GaveUp {
        /// The end of its log.
        log_end: String,
        /// The whole log.
        log: PathBuf,
    },
    /// The owner of the server has ended, and this instance could not run it.
    #[error("the instance that ran Postgres has ended, and this one could not run it: {0}")]
    NotTakenOver(String),
    /// Another cluster is in the place of the one that this instance used.
    #[error("the cluster in {} was replaced while this instance used it", .0.display())]
    OtherCluster(PathBuf),
    /// The application's database could not be created.
    #[error("the database could not be created: {0}")]
    Database(#[from] sqlx::Error),
    /// The runtime ended before the work was done.
    #[error("the preparation of Postgres was interrupted: {0}")]
    Interrupted(tokio::task::JoinError),
}

impl Problem {
    pub(crate) fn in_use(layout: &Layout) -> Self {
        let holder = std::fs::read_to_string(&layout.lock).unwrap_or_default();
        Self::InUse {
            dir: layout.root.clone(),
            holder: holder.trim().to_owned(),
        }
    }

    /// For `map_err`: what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// What the reader can do about it.
    fn advice(&self, names: Names) -> Option<String> {
        let data_dir = names.data_dir_setting;
        let bin_dir = names.bin_dir_setting;
        Some(match self {
            Self::NoBinaries { .. } => install(names),
            Self::BinDir { .. } => {
                format!("Correct {bin_dir}, or leave it unset to let Postgres be searched for")
            }
            Self::OtherVersion { cluster, .. } => format!(
                "Install Postgres {cluster} or name its directory in {bin_dir}, or move the data \
                 with pg_upgrade, or set {data_dir} to another directory to start empty"
            ),
            Self::NotACluster(_) => {
                format!("Move it away, or set {data_dir} to another directory")
            }
            Self::NotReachable { blocked, .. } => format!(
                "Set {data_dir} to a directory outside it, such as /var/lib/{}, or run \
                 `chmod o+x {}`",
                names.application,
                blocked.display()
            ),
            Self::OtherOwner { .. } => {
                format!("Run it as that user, or set {data_dir} to another directory")
            }
            Self::NoSystemUser(_) => {
                "Add one of them (`useradd --system postgres`), or start this \
                 program as another user"
                    .to_owned()
            }
            Self::Nameless(_) => "Add an entry for it, or run as a user that has a name".to_owned(),
            Self::NoHome => format!("Set {data_dir}"),
            Self::SocketDir { .. } => format!(
                "Remove it, or set {data_dir} to a shorter path, so that the socket fits inside"
            ),
            Self::OwnerSilent { .. } => {
                format!("Stop that process, or set {data_dir} to another directory")
            }
            Self::InUse { .. } => "Stop it first".to_owned(),
            Self::Leftover(_) => "Stop that process by hand".to_owned(),
            Self::OtherCluster(_) => "Start it again to use the new one".to_owned(),
            Self::Io { .. }
            | Self::InitDb { .. }
            | Self::Ended { .. }
            | Self::NotReady { .. }
            | Self::GaveUp { .. }
            | Self::NotTakenOver(_)
            | Self::Database(_)
            | Self::Interrupted(_) => return None,
        })
    }
}

fn install(names: Names) -> String {
    let bin_dir = names.bin_dir_setting;
    let mut text = format!(
        "Install one (Debian and Ubuntu: `apt-get install postgresql`; macOS: `brew install \
         postgresql@17`), or name the directory of its binaries in {bin_dir}"
    );
    if let Some(url) = names.url_setting {
        text.push_str(", or name a running database in ");
        text.push_str(url);
    }
    text
}
