//! Returns memory to the system while the service is quiet.
//!
//! The allocator (mimalloc) returns what was freed a second ago, but it has no thread that does so: it looks for
//! such memory when a large block is freed. After thousands of clients have arrived or left at once, a quiet
//! service frees none for long. So a task frees one four times a second. Nothing is written to it, so it takes hardly any memory.

use std::hint::black_box;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::BackgroundTask;

/// The allocator returns what was freed a second ago. Shorter than that, so that it need not wait for a second interval.
const INTERVAL: Duration = Duration::from_millis(250);
/// More than what the allocator puts together with other blocks (512 KiB).
const BLOCK_BYTES: usize = 1_024 * 1_024;

#[must_use]
pub fn return_memory(stop: CancellationToken) -> BackgroundTask {
    BackgroundTask::new("the return of memory", run(stop))
}

async fn run(stop: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => drop(black_box(Vec::<u8>::with_capacity(BLOCK_BYTES))),
        }
    }
}
