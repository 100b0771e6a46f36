//! The overview as JSON.

use serde::Serialize;
use serde_json::{Value, json};

use crate::log::figures::RelayFigures;
use crate::log::timestamp;
use crate::operations::{
    BrokerageTotals, DatabaseState, FiringAlert, InstanceReport, Operations, Overview, PoolReport,
    RULES,
};
use crate::platform::BrokerId;
use crate::platform::figures::{Delays, bound_ms, percentile_ms};
use crate::tasks::figures::TaskTypeFigures;

#[derive(Serialize)]
pub(super) struct OverviewJson {
    at: String,
    broker: String,
    instances: Vec<Value>,
    streams: Value,
    events: Value,
    latency: Value,
    replays: Value,
    resets: Value,
    refusals: Value,
    database: Value,
    tasks: Value,
    relay: Value,
    alerts: Vec<Value>,
    rules: Vec<Value>,
}

impl OverviewJson {
    pub(super) fn of(broker: &BrokerId, overview: &Overview, operations: &Operations) -> Self {
        let (totals, database) = (&overview.totals, overview.database.as_ref());
        let (counted, minute) = (&totals.totals, &totals.minute);
        Self {
            at: timestamp(overview.at),
            broker: broker.to_string(),
            instances: instances(overview),
            streams: streams(totals),
            events: events(totals, database),
            latency: latency(&minute.delays),
            replays: rate(counted.replayed, totals.replayed_rate),
            resets: json!({"total": counted.resets, "lastMinute": minute.resets}),
            refusals: json!({
                "total": counted.refusals,
                "lastMinute": minute.refusals,
                "byCode": totals.refusals,
            }),
            database: server(database),
            tasks: database.map_or(Value::Null, |known| tasks(&known.tasks)),
            relay: database.map_or(Value::Null, |known| relay(&known.relay)),
            alerts: overview.alerts.iter().map(alert).collect(),
            rules: rules(overview, operations),
        }
    }
}

fn instances(overview: &Overview) -> Vec<Value> {
    let database = overview.database.as_ref();
    let head = database.and_then(|known| known.log.head.as_ref());
    let head = head.map(|head| head.position);
    let answered = overview.instances.iter().map(|(name, report)| {
        let is_this = *name == overview.this_instance;
        instance(name, report, is_this, head)
    });
    let silent = overview.silent.iter();
    let silent = silent.map(|name| json!({"instance": name, "answered": false}));
    answered.chain(silent).collect()
}

fn instance(name: &str, report: &InstanceReport, is_this: bool, head: Option<i64>) -> Value {
    let behind = report
        .head
        .zip(head)
        .map(|(known, head)| (head - known).max(0));
    json!({
        "instance": name,
        "answered": true,
        "isThis": is_this,
        "version": report.version,
        "startedAt": timestamp(report.started_at),
        "streams": report.streams,
        "mostStreams": report.most_streams,
        "memory": {
            "residentBytes": report.resident_bytes,
            "frameBytes": report.frame_bytes,
            "mostFrameBytes": report.most_frame_bytes,
            "uploadBytes": report.upload_bytes,
        },
        "follower": {
            "readSecondsAgo": report.read_seconds_ago,
            "lagMs": report.lag_ms,
            "behindEvents": behind,
        },
        "pool": pool(&report.pool),
        "backgroundPool": pool(&report.background_pool),
    })
}

fn pool(report: &PoolReport) -> Value {
    json!({
        "open": report.open,
        "idle": report.idle,
        "most": report.most,
        "waiting": report.waiting,
    })
}

fn rate(total: u64, per_second: f64) -> Value {
    json!({"total": total, "perSecond": per_second})
}

fn streams(totals: &BrokerageTotals) -> Value {
    let counts = &totals.counts;
    json!({
        "open": counts.streams,
        "outputs": counts.outputs,
        "waiting": counts.waiting,
        "users": counts.users,
        "opened": rate(totals.totals.opened, totals.opened_rate),
        "closed": totals.closed,
    })
}

fn events(totals: &BrokerageTotals, database: Option<&DatabaseState>) -> Value {
    let log = database.map(|known| &known.log);
    let head = log.and_then(|log| log.head.as_ref());
    let last_at = log.and_then(|log| log.last_at);
    json!({
        "in": rate(totals.totals.published, totals.published_rate),
        "out": rate(totals.totals.delivered(), totals.delivered_rate),
        "head": head.filter(|head| head.position > 0).map(ToString::to_string),
        "lastAt": last_at.map(timestamp),
    })
}

fn latency(delays: &Delays) -> Value {
    let buckets = delays.0.iter().enumerate();
    let buckets = buckets.map(|(at, n)| json!({"upToMs": bound_ms(at), "events": n}));
    json!({
        "events": delays.sum(),
        "p50Ms": percentile_ms(delays, 50.0),
        "p90Ms": percentile_ms(delays, 90.0),
        "p99Ms": percentile_ms(delays, 99.0),
        "buckets": buckets.collect::<Vec<_>>(),
    })
}

fn server(database: Option<&DatabaseState>) -> Value {
    let server = database.map(|known| &known.server);
    json!({
        "reachable": database.is_some(),
        "version": server.map(|server| &server.version),
        "bytes": server.map(|server| server.bytes),
        "connections": server.map(|server| server.connections),
        "mostConnections": server.map(|server| server.most_connections),
        "roundTripMs": database.map(|known| known.round_trip_ms),
    })
}

fn tasks(types: &[TaskTypeFigures]) -> Value {
    let sum = |of: fn(&TaskTypeFigures) -> i64| types.iter().map(of).sum::<i64>();
    let oldest = types
        .iter()
        .filter_map(|of_type| of_type.oldest_waiting_seconds);
    let by_type = types.iter().map(|of_type| {
        json!({
            "type": of_type.task_type,
            "waiting": of_type.waiting,
            "resting": of_type.resting,
            "running": of_type.running,
            "failedLastHour": of_type.failed_last_hour,
        })
    });
    json!({
        "waiting": sum(|of_type| of_type.waiting),
        "resting": sum(|of_type| of_type.resting),
        "running": sum(|of_type| of_type.running),
        "failedLastHour": sum(|of_type| of_type.failed_last_hour),
        "oldestWaitingSeconds": oldest.reduce(f64::max),
        "byType": by_type.collect::<Vec<_>>(),
    })
}

fn relay(figures: &RelayFigures) -> Value {
    json!({
        "waiting": figures.waiting,
        "oldestSeconds": figures.oldest_seconds,
        "bulkChanges": figures.bulk_changes,
        "poison": figures.poison.of_brokerage,
        "poisonWithoutBrokerage": figures.poison.without_brokerage,
    })
}

fn alert(firing: &FiringAlert) -> Value {
    let FiringAlert { instance, alert } = firing;
    let rule = alert.rule.rule();
    json!({
        "name": alert.rule,
        "instance": instance,
        "since": timestamp(alert.since),
        "value": alert.value,
        "threshold": alert.threshold,
        "unit": rule.unit,
        "text": rule.text,
        "action": rule.action,
        "subjects": alert.subjects,
    })
}

fn rules(overview: &Overview, operations: &Operations) -> Vec<Value> {
    let is_firing = |rule| {
        overview
            .alerts
            .iter()
            .any(|firing| firing.alert.rule == rule)
    };
    let rules = RULES.iter().map(|rule| {
        json!({
            "name": rule.name,
            "threshold": operations.threshold(rule.name),
            "unit": rule.unit,
            "setting": rule.setting,
            "text": rule.text,
            "action": rule.action,
            "isFiring": is_firing(rule.name),
        })
    });
    rules.collect()
}
