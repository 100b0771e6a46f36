//! Why a load could not be run at all; what went wrong during one stands in its report.

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// An option makes no sense.
    #[error("--{option}: {problem}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Tokens are needed and cannot be signed.
    #[error("tokens need the server's secret: give --secret or set JWT_SECRET")]
    NoSecret,
    /// The tokens could not be signed.
    #[error("the tokens could not be signed: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// The server's name has no address.
    #[error("{host} has no address: {cause}")]
    NoAddress {
        /// The name.
        host: String,
        /// What the resolver says.
        cause: String,
    },
    /// The process may not open that many sockets.
    #[error("{needed} open files are needed and {limit} allowed: raise the limit with `ulimit -n`")]
    OpenFiles {
        /// Sockets and what else is open.
        needed: u64,
        /// The limit, after raising it as far as allowed.
        limit: u64,
    },
    /// A process to watch is not there.
    #[error("--pid {0}: no such process, or no /proc to read it from")]
    NoProcess(u32),
    /// The server let nobody in.
    #[error("none of {asked} streams opened: {cause}")]
    NoStreams {
        /// How many were tried.
        asked: u32,
        /// The first refusal.
        cause: String,
    },
    /// The events that a storm is about could not be delivered before it.
    #[error("{missing} streams did not get the first event, so they have no place to go on from")]
    NotPrimed {
        /// Streams without it.
        missing: usize,
    },
}

impl BenchError {
    pub(super) fn option(option: &'static str, problem: impl Into<String>) -> Self {
        Self::Option {
            option,
            problem: problem.into(),
        }
    }
}
