//! What the requests that publish take at the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The content of all events that requests publish at the moment.
#[derive(Clone, Debug, Default)]
pub struct PublishingBytes(Arc<AtomicUsize>);

impl PublishingBytes {
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts these bytes until the guard is dropped.
    #[must_use]
    pub fn hold(&self, bytes: usize) -> HeldBytes {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        HeldBytes {
            all: self.clone(),
            bytes,
        }
    }
}

#[derive(Debug)]
pub struct HeldBytes {
    all: PublishingBytes,
    bytes: usize,
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
