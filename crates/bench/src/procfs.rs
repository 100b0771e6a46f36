//! The CPU and memory of processes. Only Linux has `/proc`; elsewhere the numbers of the server
//! are unknown.

use std::collections::HashMap;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// `/proc/<pid>/stat` counts in ticks of this length on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The unit of `/proc/net/sockstat`, on nearly all machines.
const PAGE_BYTES: u64 = 4_096;

#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub pids: Vec<u32>,
    pub tree: bool,
}

/// One quantity: of the processes alone, and with their descendants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Use<T> {
    pub own: T,
    pub tree: Option<T>,
}

impl Watched {
    pub(crate) fn cpu(&self) -> Option<Use<Duration>> {
        self.sum(|pid| stat(pid).map(|stat| stat.cpu))
    }

    /// The proportional set size in bytes.
    pub(crate) fn pss(&self) -> Option<Use<u64>> {
        self.sum(pss)
    }

    fn sum<T: std::iter::Sum + Copy>(&self, of: impl Fn(u32) -> Option<T>) -> Option<Use<T>> {
        if self.pids.is_empty() {
            return None;
        }
        let own = self.pids.iter().map(|pid| of(*pid)).sum::<Option<T>>()?;
        // What a process uses changes, so it is read once.
        let descendants = || family(&self.pids).split_off(self.pids.len());
        let tree = self.tree.then(|| {
            let more = descendants().into_iter().filter_map(of);
            std::iter::once(own).chain(more).sum()
        });
        Some(Use { own, tree })
    }
}

/// The CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    let length =
        |t: TimeVal| Duration::from_micros(u64::try_from(t.num_microseconds()).unwrap_or_default());
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |u| {
        length(u.user_time()) + length(u.system_time())
    })
}

/// The bytes of the kernel's own structures and of its TCP buffers. Other processes use some of them.
pub(crate) fn kernel() -> Option<u64> {
    let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
    let slab = memory.lines().find_map(|line| line.strip_prefix("Slab:"))?;
    let slab: u64 = slab.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let sockets = std::fs::read_to_string("/proc/net/sockstat").ok()?;
    let tcp = sockets.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let pages: u64 = tcp.rsplit_once("mem ")?.1.trim().parse().ok()?;
    Some(slab * 1024 + pages * PAGE_BYTES)
}

pub(crate) fn exists(pid: u32) -> bool {
    stat(pid).is_some()
}

struct Stat {
    parent: u32,
    cpu: Duration,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The process name in brackets may hold anything, so the fields are counted after it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(Stat {
        parent: ticks(1)?,
        cpu: TICK * (ticks(11)? + ticks(12)?),
    })
}

fn pss(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The processes and all their descendants.
fn family(roots: &[u32]) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, stat) in pids.filter_map(|pid| Some((pid, stat(pid)?))) {
        children.entry(stat.parent).or_default().push(pid);
    }
    let mut family = roots.to_vec();
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        // Removed, so that a process below two roots counts once.
        let more = children.remove(pid).unwrap_or_default();
        family.extend(more.into_iter().filter(|pid| !roots.contains(pid)));
        at += 1;
    }
    family
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_counted_alone_and_with_its_children() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pids = vec![std::process::id()];
        let both = Watched { pids, tree: true };
        let pss = both.pss().unwrap();
        let cpu = both.cpu().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(pss.own > 0 && pss.tree.unwrap() > pss.own);
        assert!(cpu.tree.unwrap() >= cpu.own);
    }
}
