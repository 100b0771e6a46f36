//! How long random tests run: short in every run, long with `scripts/test --long`.

/// Set by `scripts/test --long`.
const VARIABLE: &str = "PORCHLIGHT_TEST_LONG";

/// The first in every run, the second in a long one.
pub fn short_or_long<T>(short: T, long: T) -> T {
    if std::env::var_os(VARIABLE).is_some() {
        long
    } else {
        short
    }
}
