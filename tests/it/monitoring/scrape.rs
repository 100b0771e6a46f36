//! What a service shows at `/metrics`, as Prometheus takes it.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Answer, Service};

pub(super) struct Scrape {
    /// The kind of each family.
    pub(super) families: BTreeMap<String, String>,
    pub(super) samples: Vec<Sample>,
}

#[derive(Clone)]
pub(super) struct Sample {
    pub(super) name: String,
    /// As they are written.
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
}

impl Scrape {
    pub(super) async fn of(service: &Service) -> Self {
        let request = service.client.get(service.url("/metrics"));
        let request = request.header("Accept", "application/openmetrics-text;version=1.0.0");
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, 200);
        Self::read(&answer.text)
    }

    fn read(text: &str) -> Self {
        let lines = text.lines();
        let kinds = lines
            .clone()
            .filter_map(|line| line.strip_prefix("# TYPE "));
        let kinds = kinds.map(|kind| kind.split_once(' ').expect("a name and a kind"));
        let samples = lines.filter(|line| !line.starts_with('#'));
        Self {
            families: kinds
                .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
                .collect(),
            samples: samples.map(Sample::read).collect(),
        }
    }

    /// The names of metrics as expressions use them: those of histograms without their endings.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let names = self.families.iter().map(|(name, kind)| match &**kind {
            "counter" => format!("{name}_total"),
            _ => name.clone(),
        });
        names.collect()
    }

    /// The names of samples that expressions may select.
    pub(super) fn selectable(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (name, kind) in &self.families {
            match &**kind {
                "counter" => names.extend([format!("{name}_total")]),
                "histogram" => {
                    names.extend(["bucket", "sum", "count"].map(|end| format!("{name}_{end}")));
                }
                _ => names.extend([name.clone()]),
            }
        }
        names
    }

    /// The values that a label of a metric has.
    pub(super) fn values(&self, metric: &str, label: &str) -> BTreeSet<String> {
        let samples = self.samples.iter().filter(|sample| sample.name == metric);
        let values = samples.filter_map(|sample| sample.label(label));
        values.map(str::to_owned).collect()
    }

    /// The sum of the samples of a metric with these labels.
    pub(super) fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.samples.iter().filter(|sample| sample.name == metric);
        let samples = samples.filter(|sample| {
            let mut labels = labels.iter();
            labels.all(|(name, value)| sample.label(name) == Some(value))
        });
        samples.map(|sample| sample.value).sum()
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let (sample, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = match sample.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect("an end")),
            None => (sample, ""),
        };
        // No value of ours contains these characters.
        let labels = labels.split("\",").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.trim_end_matches('"').split_once("=\""));
        let labels = labels.map(|label| label.expect("a name and a value"));
        Self {
            name: name.to_owned(),
            labels: labels
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            value: value.parse().expect("a number"),
        }
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let label = self.labels.iter().find(|label| label.0 == name);
        label.map(|label| &*label.1)
    }

    /// As tests of rules name it, collected from an instance.
    pub(super) fn series(&self) -> String {
        let mut labels = String::new();
        for (name, value) in &self.labels {
            labels.push_str(&format!(",{name}=\"{value}\""));
        }
        let name = &self.name;
        format!("{name}{{job=\"porchlight\",instance=\"a:1\"{labels}}}")
    }
}
