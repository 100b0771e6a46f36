//! Why a load could not run at all. What goes wrong during a load is in its report.

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// An option has a value that makes no sense.
    #[error("--{option}: {problem}")]
    Option {
        /// The name of the option.
        option: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A token that a template shows could not be signed.
    #[error("{0}")]
    Token(String),
    /// The server's name has no address.
    #[error("{host} has no address: {cause}")]
    NoAddress {
        /// The name of the server.
        host: String,
        /// The error of the resolver.
        cause: String,
    },
    /// The process may not open that many sockets.
    #[error("{needed} open files are needed and {limit} allowed: raise the limit with `ulimit -n`")]
    OpenFiles {
        /// The sockets, and the other files that are open.
        needed: u64,
        /// The limit, raised as far as allowed.
        limit: u64,
    },
    /// There is no process with this id.
    #[error("--pid {0}: no such process, or no /proc to read it from")]
    NoProcess(u32),
    /// The server accepted no stream.
    #[error("none of {asked} streams opened: {cause}")]
    NoStreams {
        /// The streams that were tried.
        asked: u32,
        /// The first refusal.
        cause: String,
    },
    /// Before a storm, some streams did not receive an event to resume from.
    #[error("{missing} streams did not get the first event, so they have no id to resume from")]
    NotPrimed {
        /// The number of these streams.
        missing: usize,
    },
}

impl BenchError {
    pub(crate) fn option(option: &'static str, problem: impl Into<String>) -> Self {
        Self::Option {
            option,
            problem: problem.into(),
        }
    }
}
