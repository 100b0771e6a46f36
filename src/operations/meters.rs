//! What Prometheus sees of the parts that are looked at. Everything is read when it asks.

use std::fmt;
use std::sync::{Arc, Weak};

use super::breaches::Troubles;
use super::memory::{processor_time, resident_bytes};
use super::{Operations, OperationsShared};
use crate::platform::database::PoolFigures;
use crate::platform::metrics::{MetricSource, MetricWriter, number};

/// Has the parts as long as somebody else has them, who has the metrics too.
pub(super) struct InstanceMeters(Weak<OperationsShared>);

impl InstanceMeters {
    pub(super) fn of(operations: &Operations) -> Self {
        Self(Arc::downgrade(&operations.0))
    }
}

impl fmt::Debug for InstanceMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceMeters").finish_non_exhaustive()
    }
}

impl MetricSource for InstanceMeters {
    fn write(&self, to: &mut MetricWriter<'_>) -> fmt::Result {
        let Some(shared) = self.0.upgrade() else {
            return Ok(());
        };
        shared.write_process(to)?;
        shared.write_pools(to)?;
        shared.write_log(to)?;
        let troubles = shared.troubles();
        write_troubles(troubles.as_deref(), to)
    }
}

impl OperationsShared {
    fn write_process(&self, to: &mut MetricWriter<'_>) -> fmt::Result {
        let parts = &self.parts;
        let count = |n: usize| number(n as u64);
        let help = "Streams that this instance accepts";
        to.gauge("streams_limit", help, count(parts.most_streams))?;
        let help = "Bytes of frames that this instance keeps in memory at most";
        to.gauge("memory_limit_bytes", help, count(parts.fanout.most_bytes()))?;
        let help = "Bytes of memory for files that are being uploaded, at most";
        let most = parts.uploads.most_memory_bytes();
        to.gauge("upload_memory_limit_bytes", help, count(most))?;
        let help = "Bytes of main memory that the process uses";
        let mut resident = to.gauges("resident_bytes", help)?;
        if let Some(bytes) = resident_bytes() {
            resident.only(number(bytes))?;
        }
        let help = "Seconds that the process has used processors";
        let mut processor = to.counters("cpu_seconds", help)?;
        if let Some(time) = processor_time() {
            processor.only_seconds(time.as_secs_f64())?;
        }
        let help = "Changed topics and streams that wait for worker threads";
        let waiting = parts.fanout.waiting();
        to.gauge("dispatcher_waiting", help, count(waiting))
    }

    fn write_pools(&self, to: &mut MetricWriter<'_>) -> fmt::Result {
        let parts = &self.parts;
        let pools = [
            ("requests", parts.pool.figures()),
            ("background", parts.core.figures()),
        ];
        let count = |n: usize| number(n as u64);
        let mut gauges = |name: &str, help: &str, value: &dyn Fn(&PoolFigures) -> f64| {
            let mut family = to.gauges(name, help)?;
            for (pool, figures) in &pools {
                family.add(&[("pool", pool)], value(figures))?;
            }
            Ok(())
        };
        let help = "Connections to the database that a pool opens at most";
        gauges("pool_limit", help, &|pool| count(pool.most))?;
        let help = "Open connections to the database";
        gauges("pool_open", help, &|pool| count(pool.open))?;
        let help = "Connections to the database that are in use";
        let in_use = |pool: &PoolFigures| count(pool.open.saturating_sub(pool.idle));
        gauges("pool_in_use", help, &in_use)?;
        let help = "Requests that wait for their turn at the database";
        gauges("pool_waiting", help, &|pool| count(pool.waiting))?;
        let help = "Seconds that the oldest request has waited for its turn at the database";
        let oldest = |pool: &PoolFigures| pool.oldest_wait.as_secs_f64();
        gauges("pool_oldest_seconds", help, &oldest)?;
        let help = "Requests and tasks that got no connection to the database";
        let mut failures = to.counters("pool_failures", help)?;
        for (pool, figures) in &pools {
            failures.add(&[("pool", pool)], figures.failures)?;
        }
        Ok(())
    }

    fn write_log(&self, to: &mut MetricWriter<'_>) -> fmt::Result {
        let help =
            "Seconds from the commit of events to their writes to streams, of all brokerages";
        let delays = self.parts.figures.delays().histogram();
        to.histograms("commit_to_write_seconds", help)?
            .only(&delays)?;
        let help = "The longest time from a commit to this instance's memory, in the last minute";
        let lag = self.longest_lag().as_secs_f64();
        to.gauge("follower_lag_seconds", help, lag)?;
        let help = "Seconds since the follower of this instance has read the database";
        let unread = self.parts.health.last_success().as_secs_f64();
        to.gauge("follower_unread_seconds", help, unread)
    }
}

/// Those are figures of the whole database, which each instance reads now and then.
fn write_troubles(troubles: Option<&Troubles>, to: &mut MetricWriter<'_>) -> fmt::Result {
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Troubles) -> f64| {
        let mut family = to.gauges(name, help)?;
        troubles.map_or(Ok(()), |troubles| family.only(value(troubles)))
    };
    let help = "Seconds that the oldest change of a watched table has waited for the log";
    gauge("outbox_oldest_seconds", help, &Troubles::outbox_seconds)?;
    let help = "Changes of watched tables that were set aside and wait for a decision";
    gauge("poison_rows", help, &Troubles::poison_rows)?;
    let help = "Seconds that the oldest task has waited for a worker";
    gauge("tasks_oldest_seconds", help, &Troubles::task_seconds)?;
    let help = "Tasks that failed in the last hour, in the brokerage with the most of them";
    gauge("tasks_failed_last_hour", help, &Troubles::failed_tasks)
}
