//! The memory and the processor time of this process.

use std::time::Duration;

/// The size of a page of memory, on the systems where this file is read.
const PAGE_BYTES: u64 = 4_096;

/// The bytes in main memory, where the system tells: the second number in this file of Linux, in pages.
pub(super) fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    pages(&text).map(|pages| pages * PAGE_BYTES)
}

/// The ticks of a second in the files of Linux.
const TICKS_PER_SECOND: u64 = 100;

/// The time on processors, where the system tells.
pub(super) fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    ticks(&text).map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// The 14th and the 15th field together. The second one, the name of the program, may contain spaces.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn pages(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_counts() {
        assert_eq!(pages("231512 24573 10093 3570 0 41035 0\n"), Some(24_573));
        assert_eq!(pages(""), None);
        if cfg!(target_os = "linux") {
            assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        }
    }

    #[test]
    fn time_in_the_program_and_for_it_in_the_kernel_counts() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 150 30 0 0 20 0 9 0 55 1 2 3\n";
        assert_eq!(ticks(stat), Some(180));
        assert_eq!(ticks("7 (a) S"), None);
        if cfg!(target_os = "linux") {
            assert!(processor_time().is_some());
        }
    }
}
