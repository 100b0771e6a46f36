//! The memory that frames take: counted as the allocator takes it, not as their bytes add up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The counters of an `Arc`.
const ARC_BYTES: usize = 16;
/// The counters of `Bytes`: an allocation of their own, made when the bytes are shared.
const BUFFER_COUNTERS_BYTES: usize = 32;
/// A pointer in the ring's list and one in its topic's, each with as much free space beside it as a list
/// has on average.
pub(super) const SLOTS_BYTES: usize = 24;
/// A topic in the ring's map: its entry, its key, and the first allocation of its list.
pub(super) const TOPIC_BYTES: usize = 192;

/// What an allocation takes. Between two powers of two, the allocator (mimalloc) has four sizes.
pub(super) fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=64 => bytes.next_multiple_of(16),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    }
}

/// What an allocation of a value with its counters takes.
pub(super) fn shared(bytes: usize) -> usize {
    allocated(ARC_BYTES + bytes)
}

/// What shared bytes take.
pub(super) fn buffer(bytes: usize) -> usize {
    allocated(bytes) + BUFFER_COUNTERS_BYTES
}

/// What the frames of one ring take besides what was counted when they were added: encodings that a
/// stream asked for later.
#[derive(Clone, Debug, Default)]
pub struct LateBytes(Arc<AtomicUsize>);

impl LateBytes {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_takes_at_most_a_quarter_more_than_its_bytes() {
        assert_eq!([0, 1, 17, 64].map(allocated), [0, 16, 32, 64]);
        assert_eq!(
            [65, 80, 81, 640, 641].map(allocated),
            [80, 80, 96, 640, 768]
        );
        for bytes in 65..100_000 {
            let taken = allocated(bytes);
            assert!(taken >= bytes && taken * 4 <= bytes * 5, "{bytes}");
        }
    }
}
