//! The page of metrics and what the service shows are the same.

use std::collections::{BTreeMap, BTreeSet};

use super::promtool::check_metrics;
use super::read;
use super::scrape::Scrape;
use crate::support::{Answer, Service};

const PAGE: &str = "docs/reference/metrics.md";
/// Only shown with Redis.
const WITH_REDIS: &str = "redis";
/// Only shown with a query for brokerages.
const WITH_BROKER_QUERY: &str = "brokerage_lookups";

/// The names in the first column of all tables, with their labels.
fn documented(page: &str) -> BTreeMap<String, Vec<String>> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = cells.map(|cell| cell.split('`').next().expect("an end"));
    let names = cells.map(|cell| match cell.split_once('{') {
        None => (cell.to_owned(), Vec::new()),
        Some((name, labels)) => {
            let labels = labels.trim_end_matches('}').split(',');
            (name.to_owned(), labels.map(str::to_owned).collect())
        }
    });
    names.collect()
}

/// The names between backquotes in a paragraph that begins so.
fn names_after(page: &str, begin: &str) -> BTreeSet<String> {
    let from = page.find(begin).unwrap_or_else(|| panic!("{begin}"));
    let paragraph = page[from..].split("\n\n").next().expect("a paragraph");
    let names = paragraph.split('`').skip(1).step_by(2);
    let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    names.filter(is_name).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_of_metrics_lists_what_the_service_shows() {
    let service = Service::start().await;
    // A refusal, so that these families have samples too.
    let refused = Answer::to(service.client.get(service.url("/nowhere"))).await;
    assert_eq!(refused.status, 404);
    let scrape = Scrape::of(&service).await;
    let classic = Answer::to(service.client.get(service.url("/metrics"))).await;
    assert!(
        classic
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    check_metrics(&classic.text);
    let page = read(PAGE);
    let documented = documented(&page);
    let metrics = documented
        .keys()
        .filter(|name| name.starts_with("porchlight_"));
    let metrics: BTreeSet<_> = metrics.cloned().collect();
    assert_eq!(metrics, scrape.names(), "in {PAGE}, and at /metrics");
    for sample in &scrape.samples {
        let ends = ["", "_bucket", "_sum", "_count"];
        let mut families = ends.iter().filter_map(|end| sample.name.strip_suffix(end));
        let labels = families.find_map(|family| documented.get(family));
        let labels = labels.unwrap_or_else(|| panic!("{}", sample.name));
        let shown = sample.labels.iter().map(|label| &label.0);
        let shown: Vec<_> = shown.filter(|label| *label != "le").collect();
        assert_eq!(labels.iter().collect::<Vec<_>>(), shown, "{}", sample.name);
    }
    let mut queues = scrape.values("porchlight_queue_limit", "queue");
    queues.insert(WITH_REDIS.to_owned());
    let others = documented.keys().filter(|name| !metrics.contains(*name));
    assert_eq!(others.cloned().collect::<BTreeSet<_>>(), queues);
    let loops = scrape.values("porchlight_loop_rounds_total", "loop");
    assert_eq!(names_after(&page, "Loops: "), loops);
    let mut permits = scrape.values("porchlight_permits_limit", "of");
    permits.insert(WITH_BROKER_QUERY.to_owned());
    let described = names_after(&page, "`row_waits`");
    assert!(permits.is_subset(&described), "{permits:?}: {described:?}");
}
