//! Memory: a process that runs for minutes does not grow.

use std::collections::BTreeMap;

use super::{Findings, Rule};
use crate::history::{Entry, Line};

/// Fewer measurements say nothing: caches fill in the first minutes.
const LEAST: usize = 60;
/// How much the last third of a process' life may exceed the second third, in percent and KiB.
const PERCENT: u64 = 20;
const KIB: u64 = 8_192;

pub(super) fn check(lines: &[Line], findings: &mut Findings) {
    for ((instance, process), sizes) in measured(lines) {
        if sizes.len() < LEAST {
            continue;
        }
        let third = sizes.len() / 3;
        let (before, after) = (
            median(&sizes[third..2 * third]),
            median(&sizes[2 * third..]),
        );
        if after > before + before * PERCENT / 100 + KIB {
            let text =
                format!("instance {instance}, process {process}: {before} KiB, then {after} KiB");
            findings.add(Rule::MemoryGrown, text);
        }
    }
}

/// The sizes of each process, in order.
pub fn measured(lines: &[Line]) -> BTreeMap<(usize, u32), Vec<u64>> {
    let mut sizes: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for line in lines {
        if let Entry::Memory {
            instance,
            process,
            kib,
        } = line.entry
        {
            sizes.entry((instance, process)).or_default().push(kib);
        }
    }
    sizes
}

fn median(sizes: &[u64]) -> u64 {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes[sizes.len() / 2]
}
