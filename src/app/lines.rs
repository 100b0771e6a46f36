//! Limits on how many lines of one kind are logged.

use std::hash::Hash;
use std::sync::Arc;

use super::wire::Ground;
use crate::platform::LineLimit;

impl Ground<'_> {
    /// Of each kind of lines only so many a second are logged, and a task sums up the others.
    pub(super) fn line_limit<K>(&self, name: &'static str, sum_up: fn(&K, u64)) -> Arc<LineLimit<K>>
    where
        K: Eq + Hash + Clone + Send + 'static,
    {
        let per_second = self.config.server.log_lines_per_second;
        let limit = Arc::new(LineLimit::new(per_second, self.environment.clock.clone()));
        let (summed, stop) = (Arc::clone(&limit), self.tasks.stop_last());
        self.tasks
            .spawn(name, async move { summed.sum_up(stop, sum_up).await });
        limit
    }
}
