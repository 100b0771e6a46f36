//! What operators watch: `/metrics` and its page, the rules for Prometheus, and the dashboard for Grafana.

mod dashboard;
mod page;
mod promtool;
mod requests;
mod rules;
mod scrape;
mod trouble;

use std::path::{Path, PathBuf};

/// A file of the repository.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    let text = std::fs::read_to_string(file(name));
    text.unwrap_or_else(|error| panic!("{name}: {error}"))
}
