//! The limit on the number of streams of this instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts streams and enforces their limit.
#[derive(Debug)]
pub struct ConnectionLimits {
    most: usize,
    open: AtomicUsize,
}

/// The limit of all streams is reached.
#[derive(Debug)]
pub struct LimitReached;

impl ConnectionLimits {
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let open = AtomicUsize::new(0);
        Arc::new(Self { most, open })
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether one more stream would be too many.
    pub fn is_full(&self) -> bool {
        self.open() >= self.most
    }

    /// Admits a stream.
    pub fn admit(self: &Arc<Self>) -> Result<Permit, LimitReached> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(LimitReached);
        }
        let limits = Arc::clone(self);
        Ok(Permit { limits })
    }
}

/// The admission of one stream. Dropping it frees the place.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<ConnectionLimits>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.open.fetch_sub(1, Ordering::Relaxed);
    }
}
