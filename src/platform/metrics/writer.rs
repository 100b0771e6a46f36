//! Writes metrics whose values are kept elsewhere: they are read when Prometheus asks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;

use super::durations::DurationCounts;

/// Knows the values of some metrics.
pub trait MetricSource: fmt::Debug + Send + Sync + 'static {
    /// Writes each family, also one without samples: then its name is known.
    fn write(&self, to: &mut MetricWriter<'_>) -> fmt::Result;
}

/// Registers a source.
#[derive(Debug)]
pub(super) struct SourceCollector<S>(pub(super) S);

impl<S: MetricSource> Collector for SourceCollector<S> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(&mut MetricWriter(encoder))
    }
}

pub struct MetricWriter<'a>(DescriptorEncoder<'a>);

/// The labels of a sample.
pub type LabelSet<'a> = &'a [(&'a str, &'a str)];

impl MetricWriter<'_> {
    /// A family of numbers that go up and down.
    pub fn gauges<'s>(&'s mut self, name: &'s str, help: &str) -> Result<Gauges<'s>, fmt::Error> {
        self.family(name, help, MetricType::Gauge).map(Gauges)
    }

    /// A family of numbers that only grow. Its samples end in `_total`.
    pub fn counters<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
    ) -> Result<Counters<'s>, fmt::Error> {
        self.family(name, help, MetricType::Counter).map(Counters)
    }

    pub fn histograms<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
    ) -> Result<Histograms<'s>, fmt::Error> {
        let family = self.family(name, help, MetricType::Histogram);
        family.map(Histograms)
    }

    /// A family with one sample.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.gauges(name, help)?.only(value)
    }

    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0
            .encode_descriptor(name, &format!("{help}."), None, kind)
    }
}

pub struct Gauges<'a>(MetricEncoder<'a>);

impl Gauges<'_> {
    pub fn add(&mut self, labels: LabelSet<'_>, value: f64) -> fmt::Result {
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }

    /// The only sample of a family.
    pub fn only(&mut self, value: f64) -> fmt::Result {
        self.0.encode_gauge(&value)
    }
}

pub struct Counters<'a>(MetricEncoder<'a>);

impl Counters<'_> {
    pub fn add(&mut self, labels: LabelSet<'_>, value: u64) -> fmt::Result {
        let mut encoder = self.0.encode_family(&labels)?;
        encoder.encode_counter::<LabelSet<'_>, _, f64>(&value, None)
    }

    /// The only sample of a family.
    pub fn only_seconds(&mut self, seconds: f64) -> fmt::Result {
        self.0
            .encode_counter::<LabelSet<'_>, _, f64>(&seconds, None)
    }

    pub fn add_seconds(&mut self, labels: LabelSet<'_>, seconds: f64) -> fmt::Result {
        let mut encoder = self.0.encode_family(&labels)?;
        encoder.encode_counter::<LabelSet<'_>, _, f64>(&seconds, None)
    }
}

pub struct Histograms<'a>(MetricEncoder<'a>);

impl Histograms<'_> {
    pub fn add(&mut self, labels: LabelSet<'_>, counts: &DurationCounts) -> fmt::Result {
        let mut encoder = self.0.encode_family(&labels)?;
        encode_counts(&mut encoder, counts)
    }

    /// The only sample of a family.
    pub fn only(&mut self, counts: &DurationCounts) -> fmt::Result {
        encode_counts(&mut self.0, counts)
    }
}

fn encode_counts(encoder: &mut MetricEncoder<'_>, counts: &DurationCounts) -> fmt::Result {
    let DurationCounts {
        sum_seconds,
        buckets,
    } = counts;
    let count = buckets.iter().map(|(_, count)| count).sum();
    encoder.encode_histogram::<LabelSet<'_>>(*sum_seconds, count, buckets, None)
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
#[must_use]
pub fn number(n: u64) -> f64 {
    n as f64
}
