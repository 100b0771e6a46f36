//! Sends ended spans in batches. A receiver that is slow or down costs spans and nothing else.

use std::sync::Arc;
use std::time::Duration;

use otlp::{Attribute, ExportError, Exporter};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::collected::CollectedSpans;
use super::{EndedSpan, TracerParts};
use crate::platform::{Dice, Metrics};

/// How often a batch is sent before it is dropped.
const MOST_ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a stop waits for the last spans. It is shorter than the time for background tasks.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends spans until it is stopped.
pub(super) struct SpanExport {
    exporter: Exporter,
    ended: mpsc::Receiver<EndedSpan>,
    collected: CollectedSpans,
    is_failing: bool,
    dice: Dice,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl SpanExport {
    pub(super) fn new(parts: TracerParts<'_>, ended: mpsc::Receiver<EndedSpan>) -> Self {
        let resource = vec![
            Attribute::text("service.name", parts.settings.service_name.clone()),
            Attribute::text("service.version", env!("CARGO_PKG_VERSION")),
            Attribute::text("service.instance.id", parts.instance.to_string()),
        ];
        Self {
            exporter: Exporter {
                target: parts.target,
                resource,
                scope: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                timeout: parts.settings.timeout(),
            },
            ended,
            collected: CollectedSpans::new(parts.settings.delay()),
            is_failing: false,
            dice: parts.dice,
            metrics: parts.metrics,
            stop: parts.stop,
        }
    }

    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        while stop
            .run_until_cancelled(self.collect_and_send())
            .await
            .is_some()
        {}
        if timeout(FLUSH_TIMEOUT, self.flush()).await.is_err() {
            self.drop_spans("unreachable", self.collected.spans.len());
        }
    }

    async fn collect_and_send(&mut self) {
        self.collect().await;
        self.send().await;
    }

    /// Takes spans until a batch is complete or has waited long enough.
    async fn collect(&mut self) {
        while !self.collected.is_due(Instant::now()) {
            let wakes_at = self.collected.wakes_at();
            tokio::select! {
                Some(ended) = self.ended.recv() => self.collected.take(ended),
                () = until(wakes_at) => {}
            }
        }
    }

    /// Sends what is collected. Spans that cannot be sent are dropped after some attempts.
    async fn send(&mut self) {
        let mut attempts = 0;
        while let Some(count) = self.collected.batch() {
            let sent = self.exporter.send(&self.collected.spans[..count]).await;
            attempts += 1;
            match sent {
                Ok(exported) => {
                    self.report_success(count, exported.rejected);
                }
                Err(error) => {
                    self.report_failure(&error);
                    if error.is_retryable() && attempts < MOST_ATTEMPTS {
                        sleep(self.pause(attempts, &error)).await;
                        continue;
                    }
                    let reason = if error.is_retryable() {
                        "unreachable"
                    } else {
                        "refused"
                    };
                    self.drop_spans(reason, count);
                }
            }
            self.collected.remove(count);
            attempts = 0;
        }
    }

    /// Sends everything that is there, once.
    async fn flush(&mut self) {
        while let Ok(ended) = self.ended.try_recv() {
            self.collected.take(ended);
        }
        self.collected.end_all_deliveries();
        while let Some(count) = self.collected.batch() {
            match self.exporter.send(&self.collected.spans[..count]).await {
                Ok(exported) => self.report_success(count, exported.rejected),
                Err(error) => {
                    self.report_failure(&error);
                    self.drop_spans("unreachable", count);
                }
            }
            self.collected.remove(count);
        }
    }

    fn pause(&self, attempts: u32, error: &ExportError) -> Duration {
        let pause = FIRST_PAUSE * 2_u32.pow(attempts - 1);
        let pause = error.retry_after().unwrap_or(pause).min(LONGEST_PAUSE);
        self.dice.between(pause / 2, pause)
    }

    fn drop_spans(&self, reason: &'static str, count: usize) {
        self.metrics.spans_dropped(reason, count as u64);
    }

    fn report_success(&mut self, count: usize, rejected: u64) {
        self.metrics.spans_dropped("refused", rejected);
        let taken = (count as u64).saturating_sub(rejected);
        self.metrics.spans_exported.inc_by(taken);
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("traces are sent again");
        }
    }

    /// Says once that spans cannot be sent.
    fn report_failure(&mut self, error: &ExportError) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(%error, "traces cannot be sent");
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
