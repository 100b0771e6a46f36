//! What requests are called.

use std::fmt;

use uuid::Uuid;

/// The name of a request, by which its lines in logs are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// One that the service made.
    Made(Uuid),
    Given(Box<str>),
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(id) => write!(f, "{}", id.simple()),
            Self::Given(id) => f.write_str(id),
        }
    }
}
