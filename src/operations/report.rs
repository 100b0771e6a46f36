//! What one instance reports of itself and of one brokerage.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::alerts::Alert;
use super::memory::resident_bytes;
use super::samples::{Counted, MINUTE};
use super::{Operations, OperationsShared};
use crate::platform::BrokerId;
use crate::platform::database::PoolFigures;
use crate::platform::figures::FigureTotals;
use crate::sessions::connections::ConnectionCounts;

/// The time over which rates are told.
const RECENT: Duration = Duration::from_secs(10);

/// An answer to the question how things are. Another version may send more or less of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerageReport {
    pub instance: InstanceReport,
    pub counts: ConnectionCounts,
    pub totals: FigureTotals,
    /// What was counted in the last seconds, this many.
    pub recent: FigureTotals,
    pub recent_seconds: f64,
    pub minute: FigureTotals,
    pub closed: BTreeMap<String, u64>,
    pub refusals: BTreeMap<String, u64>,
    pub alerts: Vec<Alert>,
}

/// An instance as a whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceReport {
    pub version: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    pub streams: usize,
    pub most_streams: usize,
    pub resident_bytes: Option<u64>,
    pub frame_bytes: usize,
    pub most_frame_bytes: usize,
    pub upload_bytes: u64,
    /// Since the last read of the log.
    pub read_seconds_ago: f64,
    pub lag_ms: f64,
    /// The head of the brokerage's log in memory, if it is there.
    pub head: Option<i64>,
    pub pool: PoolReport,
    pub background_pool: PoolReport,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PoolReport {
    pub open: usize,
    pub idle: usize,
    pub most: usize,
    pub waiting: usize,
}

impl From<PoolFigures> for PoolReport {
    fn from(figures: PoolFigures) -> Self {
        let PoolFigures {
            open,
            idle,
            most,
            waiting,
            ..
        } = figures;
        Self {
            open,
            idle,
            most,
            waiting,
        }
    }
}

impl Operations {
    /// The report of this instance.
    pub(super) fn report(&self, broker: &BrokerId) -> BrokerageReport {
        let shared = &self.0;
        let figures = shared.parts.figures.find(broker);
        let totals = figures.as_ref().map(|figures| figures.totals());
        let totals = totals.unwrap_or_default();
        let (now, samples) = (Instant::now(), self.samples());
        let Counted {
            figures: recent,
            time,
        } = samples.counted(broker, now, &totals, RECENT);
        let minute = samples.counted(broker, now, &totals, MINUTE).figures;
        let lag = samples.longest_lag();
        drop(samples);
        let named = figures.as_ref();
        BrokerageReport {
            instance: shared.instance_report(broker, lag),
            counts: shared.parts.sessions.connection_counts(broker),
            totals,
            recent,
            recent_seconds: time.as_secs_f64(),
            minute,
            closed: named.map(|named| named.closed.get()).unwrap_or_default(),
            refusals: named.map(|named| named.refusals.get()).unwrap_or_default(),
            alerts: shared.alerts.firing(broker),
        }
    }
}

impl OperationsShared {
    fn instance_report(&self, broker: &BrokerId, lag: Duration) -> InstanceReport {
        let parts = &self.parts;
        InstanceReport {
            version: parts.version.to_owned(),
            started_at: self.started_at,
            streams: parts.connection_limits.open(),
            most_streams: parts.most_streams,
            resident_bytes: resident_bytes(),
            frame_bytes: parts.fanout.bytes(),
            most_frame_bytes: parts.fanout.most_bytes(),
            upload_bytes: u64::try_from(parts.uploads.memory_bytes()).unwrap_or(u64::MAX),
            read_seconds_ago: parts.health.last_success().as_secs_f64(),
            lag_ms: lag.as_secs_f64() * 1_000.0,
            head: parts.fanout.get(broker).map(|log| log.ring().head()),
            pool: parts.pool.figures().into(),
            background_pool: parts.core.figures().into(),
        }
    }
}
