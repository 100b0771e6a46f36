//! The ids of requests.

use std::fmt;

use uuid::Uuid;

/// Finds the log lines of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// A random id.
    Random(Uuid),
    /// The id that the client sent.
    Given(Box<str>),
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(id) => write!(f, "{}", id.simple()),
            Self::Given(id) => f.write_str(id),
        }
    }
}
