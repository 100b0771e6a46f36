//! promtool, which comes with Prometheus.

use std::ffi::OsStr;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;

/// Runs it, and fails with what it says if it fails.
pub(super) fn promtool(args: &[&OsStr]) {
    let output = Command::new("promtool").args(args).output();
    let output = output.unwrap_or_else(|error| {
        panic!("promtool cannot be started ({error}); `scripts/setup --test` installs it")
    });
    let (said, complained) = (&output.stdout, &output.stderr);
    let (said, complained) = (
        String::from_utf8_lossy(said),
        String::from_utf8_lossy(complained),
    );
    assert!(output.status.success(), "{args:?}: {said}{complained}");
}

/// Checks what a service shows to those who do not ask for `OpenMetrics`.
pub(super) fn check_metrics(text: &str) {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(text.as_bytes()).expect("a write");
    file.rewind().expect("the beginning");
    let output = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(file)
        .output()
        .expect("promtool");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

pub(super) fn check_rules(rules: &Path) {
    promtool(&["check".as_ref(), "rules".as_ref(), rules.as_ref()]);
}

pub(super) fn test_rules(tests: &Path) {
    promtool(&["test".as_ref(), "rules".as_ref(), tests.as_ref()]);
}

/// The names of metrics in expressions, without those of recorded rules.
pub(super) fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(move |c| !is_part(c));
    words.filter(|word| word.starts_with("porchlight_"))
}
