//! The CPU and memory that the server and the generator use during a measurement.

use std::time::Duration;

use tokio::time::Instant;

use crate::procfs::{self, Use};
use crate::report::{Generator, Server};
use crate::shared::Run;
use crate::units::{float, per};

/// Above this share of one core the result is that of the generator.
const SATURATED: f64 = 0.9;

/// The numbers at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gauge {
    at: Instant,
    received: u64,
    server: Option<Use<Duration>>,
    own: Duration,
}

/// The difference between two moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub took: Duration,
    pub received: u64,
    server: Option<Use<Duration>>,
    own: Duration,
}

impl Gauge {
    pub(crate) fn read(run: &Run) -> Self {
        Self {
            at: Instant::now(),
            received: run.received.get(),
            server: run.plan.watched.cpu(),
            own: procfs::own_cpu(),
        }
    }

    pub(crate) fn until_now(&self, run: &Run) -> Span {
        let now = Self::read(run);
        let server = self.server.zip(now.server).map(|(then, now)| Use {
            own: now.own.saturating_sub(then.own),
            tree: then
                .tree
                .zip(now.tree)
                .map(|(then, now)| now.saturating_sub(then)),
        });
        Span {
            took: now.at - self.at,
            received: now.received - self.received,
            server,
            own: now.own.saturating_sub(self.own),
        }
    }
}

impl Span {
    /// The server's CPU time in microseconds for each of `count`.
    pub(crate) fn cpu_us_each(&self, count: u32) -> Option<Use<f64>> {
        let server = self.server.filter(|_| count > 0)?;
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / f64::from(count);
        Some(Use {
            own: each(server.own),
            tree: server.tree.map(each),
        })
    }

    pub(crate) fn server(&self, memory: &Memory) -> Option<Server> {
        let server = self.server?;
        let wall = self.took.as_secs_f64();
        let each = |cpu: Duration| {
            (self.received > 0).then(|| cpu.as_secs_f64() * 1e6 / float(self.received))
        };
        let bytes = memory.per_connection();
        Some(Server {
            cpu_us_per_delivery: each(server.own),
            cpu_share: server.own.as_secs_f64() / wall,
            bytes_per_connection: bytes.map(|b| b.own),
            tree_cpu_us_per_delivery: server.tree.and_then(each),
            tree_cpu_share: server.tree.map(|cpu| cpu.as_secs_f64() / wall),
            tree_bytes_per_connection: bytes.and_then(|b| b.tree),
            kernel_bytes_per_connection: memory.kernel_per_connection(),
        })
    }

    pub(crate) fn generator(&self) -> Generator {
        let cpu_share = self.own.as_secs_f64() / self.took.as_secs_f64();
        let is_saturated = cpu_share > SATURATED;
        Generator {
            cpu_share,
            is_saturated,
        }
    }
}

/// The server's memory before and after the connecting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub before: Option<Use<u64>>,
    pub after: Option<Use<u64>>,
    /// That of the kernel, before and after.
    pub kernel: Option<(u64, u64)>,
    pub connected: u32,
}

impl Memory {
    /// A watched server is on this machine, so both ends of each stream are.
    fn kernel_per_connection(&self) -> Option<f64> {
        let (before, after) = self.kernel.filter(|_| self.connected > 0)?;
        let ends = 2.0 * f64::from(self.connected);
        Some(per(after.saturating_sub(before), ends))
    }

    fn per_connection(&self) -> Option<Use<f64>> {
        let (before, after) = self.before.zip(self.after).filter(|_| self.connected > 0)?;
        let each =
            |before: u64, after: u64| per(after.saturating_sub(before), f64::from(self.connected));
        Some(Use {
            own: each(before.own, after.own),
            tree: before
                .tree
                .zip(after.tree)
                .map(|(before, after)| each(before, after)),
        })
    }
}
