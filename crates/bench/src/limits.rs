//! The limit on open files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::error::BenchError;

/// The files that are open besides the sockets.
const SPARE: u64 = 64;

/// Allows a socket for each of `connections`.
pub(crate) fn raise_open_files(connections: u32) -> Result<(), BenchError> {
    let needed = u64::from(connections) + SPARE;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((needed, needed));
    // Only root may exceed the hard limit; the attempt costs nothing.
    let raised = |limit: u64| setrlimit(Resource::RLIMIT_NOFILE, limit, limit.max(hard)).is_ok();
    if soft >= needed || raised(needed) {
        return Ok(());
    }
    Err(BenchError::OpenFiles {
        needed,
        limit: hard,
    })
}
