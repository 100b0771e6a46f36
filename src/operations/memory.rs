//! The memory of this process.

/// The size of a page of memory, on the systems where this file is read.
const PAGE_BYTES: u64 = 4_096;

/// The bytes in main memory, where the system tells: the second number in this file of Linux, in pages.
pub(super) fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    pages(&text).map(|pages| pages * PAGE_BYTES)
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
}
