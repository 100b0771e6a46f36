//! The settings of traces. Their variables are those of the OpenTelemetry specification.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use otlp::{BadTarget, ExportTarget};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Traces")]
pub struct TraceSettings {
    /// Where spans are sent by OTLP over HTTP as JSON, without `/v1/traces`: `http://localhost:4318`.
    /// Without it there are no traces
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,

    /// Headers of these requests: `name=value` with commas between, and values percent-encoded
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_HEADERS",
        hide_env_values = true,
        value_name = "HEADERS"
    )]
    otlp_headers: Option<HiddenText>,

    /// A PEM file of certificate authorities that are trusted for them, beside the usual ones
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CERTIFICATE", value_name = "FILE")]
    otlp_certificate: Option<PathBuf>,

    /// Milliseconds that such a request may take
    #[arg(long, env = "OTEL_EXPORTER_OTLP_TIMEOUT", value_name = "MS",
        default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=600_000))]
    otlp_timeout_ms: u32,

    /// Milliseconds for which spans are collected before they are sent
    #[arg(long, env = "OTEL_BSP_SCHEDULE_DELAY", value_name = "MS",
        default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=60_000))]
    otlp_delay_ms: u32,

    /// The name of the service in traces
    #[arg(
        long,
        env = "OTEL_SERVICE_NAME",
        value_name = "NAME",
        default_value = "porchlight"
    )]
    pub(super) service_name: String,

    /// The share of requests without `traceparent` that are sampled, from 0 to 1. A request with one is
    /// sampled if it says so
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "SHARE",
        default_value_t = 0.0, value_parser = share)]
    pub(super) trace_ratio: f64,
}

/// A text that is not shown.
#[derive(Clone)]
struct HiddenText(String);

impl From<&str> for HiddenText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HiddenText")
    }
}

impl TraceSettings {
    /// Where spans go, if there are traces. An empty endpoint is none.
    pub fn target(&self) -> Result<Option<ExportTarget>, BadTarget> {
        let endpoint = self.otlp_endpoint.as_deref();
        let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else {
            return Ok(None);
        };
        let mut target = ExportTarget::at(endpoint)?;
        if let Some(HiddenText(headers)) = &self.otlp_headers {
            target = target.with_headers(headers)?;
        }
        if let Some(file) = &self.otlp_certificate {
            target = target.with_authorities(file)?;
        }
        Ok(Some(target))
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.otlp_timeout_ms.into())
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.otlp_delay_ms.into())
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share is a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        traces: TraceSettings,
    }

    fn settings(flags: &[&str]) -> Result<TraceSettings, clap::Error> {
        let flags = ["porchlight"].iter().chain(flags);
        Flags::try_parse_from(flags).map(|flags| flags.traces)
    }

    #[test]
    fn an_endpoint_is_an_address_of_http() {
        let target = |flags: &[&str]| settings(flags).unwrap().target();
        assert!(target(&[]).unwrap().is_none());
        assert!(target(&["--otlp-endpoint="]).unwrap().is_none());
        let endpoint = "--otlp-endpoint=https://otel.example.com:4318/base/";
        assert!(target(&[endpoint]).unwrap().is_some());
        for bad in ["localhost:4318", "grpc://x", "http://ann:secret@x"] {
            let error = target(&[&format!("--otlp-endpoint={bad}")]).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let headers = "--otlp-headers=authorization: secret";
        let error = target(&[endpoint, headers]).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert!(target(&[endpoint, "--otlp-certificate=/no/file"]).is_err());
        let shown = format!("{:?}", settings(&[headers]).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        for (given, share) in [("0", 0.0), ("0.25", 0.25), ("1", 1.0)] {
            let given = format!("--trace-ratio={given}");
            let found = settings(&[&given]).unwrap().trace_ratio;
            assert!((found - share).abs() < f64::EPSILON);
        }
        for bad in ["-0.1", "1.1", "x", "NaN"] {
            assert!(
                settings(&[&format!("--trace-ratio={bad}")]).is_err(),
                "{bad}"
            );
        }
    }
}
