//! Resources of which only so many may be used at a time: how many are.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::writer::{MetricSource, MetricWriter, number};

/// All semaphores of an instance. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Permits(Arc<Mutex<Vec<WatchedPermits>>>);

#[derive(Clone, Debug)]
struct WatchedPermits {
    name: &'static str,
    most: usize,
    semaphore: Arc<Semaphore>,
}

impl Permits {
    /// Shows how many of `most` permits are in use.
    pub fn watch(&self, name: &'static str, most: usize, semaphore: &Arc<Semaphore>) {
        self.all().push(WatchedPermits {
            name,
            most,
            semaphore: Arc::clone(semaphore),
        });
    }

    fn all(&self) -> MutexGuard<'_, Vec<WatchedPermits>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetricSource for Permits {
    fn write(&self, to: &mut MetricWriter<'_>) -> fmt::Result {
        let all = self.all();
        let help = "How many may use a resource at a time";
        let mut limits = to.gauges("permits_limit", help)?;
        for watched in &*all {
            limits.add(&[("of", watched.name)], number(watched.most as u64))?;
        }
        let help = "How many use a resource now";
        let mut in_use = to.gauges("permits_in_use", help)?;
        for watched in &*all {
            let free = watched.semaphore.available_permits();
            let used = watched.most.saturating_sub(free);
            in_use.add(&[("of", watched.name)], number(used as u64))?;
        }
        Ok(())
    }
}
