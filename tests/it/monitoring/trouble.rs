//! A service in trouble: these alerts fire with what it shows then, and no other. With what a healthy one shows none does.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::file;
use super::promtool::test_rules;
use super::scrape::{Sample, Scrape};
use crate::support::cluster::TestDatabase;
use crate::support::sql::run;
use crate::support::{Answer, Proxy, Service, Stream, Token, eventually};

/// Prometheus collects this often.
const INTERVAL_SECONDS: f64 = 15.0;
/// How often it has collected, when the alerts are looked at.
const SCRAPES: u32 = 40;
/// The alerts that fire in trouble.
const FIRING: [&str; 11] = [
    "PorchlightBackplaneDisconnected",
    "PorchlightDatabaseUnreachable",
    "PorchlightErrors",
    "PorchlightLoopFailing",
    "PorchlightPoison",
    "PorchlightPoolFailing",
    "PorchlightRefusals",
    "PorchlightRelayLag",
    "PorchlightResets",
    "PorchlightStreamsFull",
    "PorchlightTasksWaiting",
];
/// Grows with time while the database cannot be read.
const UNREAD: &str = "porchlight_follower_unread_seconds";
/// They tell how busy the machine of the tests is.
const OF_THE_MACHINE: [&str; 3] = [
    "porchlight_resident_bytes",
    "porchlight_http_request_seconds",
    "porchlight_queue_busy_seconds",
];

fn ann() -> Token {
    Token::user("ann", &["a"])
}

/// Two looks at a service, and the time between them.
struct Looks {
    before: Scrape,
    after: Scrape,
    seconds: f64,
}

impl Looks {
    /// Looks, sends a request, and looks again when this loop has gone on.
    async fn at(service: &Service, metric: &str, of: &str) -> Self {
        let (began, before) = (Instant::now(), Scrape::of(service).await);
        let _ = Answer::to(service.get("/tasks", &ann())).await;
        let labels = &[("loop", of)];
        let after = eventually("it grows", async || {
            let scrape = Scrape::of(service).await;
            (scrape.sum(metric, labels) > before.sum(metric, labels)).then_some(scrape)
        });
        let after = after.await;
        Self {
            before,
            after,
            seconds: began.elapsed().as_secs_f64(),
        }
    }

    /// Series that go on as they did between the looks: counters, and this metric. The others stay.
    fn series(&self, growing: Option<&str>) -> Vec<Value> {
        let of_the_machine = |sample: &&Sample| {
            OF_THE_MACHINE
                .iter()
                .any(|name| sample.name.starts_with(name))
        };
        let samples = self.after.samples.iter();
        let series = samples
            .filter(|sample| !of_the_machine(sample))
            .map(|sample| {
                let ends = ["_total", "_bucket", "_sum", "_count"];
                let is_counter = ends.iter().any(|end| sample.name.ends_with(end));
                let growth = if is_counter || growing == Some(&*sample.name) {
                    (sample.value - self.earlier(sample)) / self.seconds * INTERVAL_SECONDS
                } else {
                    0.0
                };
                let values = format!("{}{growth:+}x{SCRAPES}", sample.value);
                json!({"series": sample.series(), "values": values})
            });
        let up = "up{job=\"porchlight\",instance=\"a:1\"}";
        let up = json!({"series": up, "values": format!("1x{SCRAPES}")});
        series.chain([up]).collect()
    }

    fn earlier(&self, sample: &Sample) -> f64 {
        let mut before = self.before.samples.iter();
        let earlier = before.find(|it| it.name == sample.name && it.labels == sample.labels);
        earlier.map_or(0.0, |earlier| earlier.value)
    }
}

/// A test for promtool: with these series, exactly these alerts fire.
fn promtool_test(series: &[Value], firing: &[&str]) -> Value {
    let samples = firing.iter().map(|alert| {
        let labels = format!("{{alertname=\"{alert}\"}}");
        json!({"labels": labels, "value": 1})
    });
    json!({
        "interval": format!("{INTERVAL_SECONDS}s"),
        "input_series": series,
        "promql_expr_test": [{
            "expr": "max by (alertname) (ALERTS{alertstate=\"firing\"})",
            "eval_time": format!("{}s", INTERVAL_SECONDS * f64::from(SCRAPES)),
            "exp_samples": samples.collect::<Vec<_>>(),
        }],
    })
}

/// A healthy service that answers requests.
async fn healthy() -> Looks {
    let service = Service::start().await;
    eventually("it is connected", async || {
        let connected = service.metric("porchlight_backplane_connected").await;
        (connected == 1.0).then_some(())
    })
    .await;
    Looks::at(&service, "porchlight_loop_rounds_total", "follower").await
}

/// A service that is in every trouble of which it can tell. It is there as long as these are.
struct Trouble {
    service: Service,
    proxy: Proxy,
    _stream: Stream,
    /// Has the row of the brokerage locked.
    _locker: PgConnection,
}

impl Trouble {
    async fn begin() -> Self {
        let database = Arc::new(TestDatabase::create().await);
        let proxy = Proxy::before(&database).await;
        let flags = [
            "--alert-interval-ms=100",
            "--alert-refusals-per-minute=1",
            "--alert-resets-per-minute=1",
            "--max-streams=1",
            // Nobody listens there.
            "--backplane=redis://127.0.0.1:1",
        ];
        let service = Service::through(Arc::clone(&database), proxy.url(), &flags).await;
        // These are the first of the brokerage: they count although no sample is before them.
        let refused = Answer::to(service.get("/tasks/none", &ann())).await;
        assert_eq!(refused.status, 404);
        let mut stream = service.resume("/stream", &ann(), "1-zzzzzz").await;
        stream.next().await;
        let task = service.client.post(service.url("/tasks"));
        let task = task.bearer_auth(ann().signed());
        let task = Answer::to(task.json(&json!({"type": "sum"}))).await;
        assert_eq!(task.status, 201);
        let mut sql = database.connect().await;
        let poison = "insert into porchlight.outbox (broker_id) values ('b')";
        run(&mut sql, poison).await;
        until(&service, "porchlight_poison_rows", &[]).await;
        let mut locker = database.connect().await;
        let lock = "begin; select from porchlight.brokers where broker_id = 'b' for update";
        run(&mut locker, lock).await;
        let old = "insert into porchlight.outbox (broker_id, audience, type, created_at)
            values ('b', 'broker', 'test:old', now() - interval '1 hour');
            update porchlight.tasks set created_at = now() - interval '1 hour'";
        run(&mut sql, old).await;
        until(&service, "porchlight_outbox_oldest_seconds", &[]).await;
        until(&service, "porchlight_tasks_oldest_seconds", &[]).await;
        for name in ["refusals", "resets"] {
            until(&service, "porchlight_alerts_firing", &[("name", name)]).await;
        }
        Self {
            service,
            proxy,
            _stream: stream,
            _locker: locker,
        }
    }

    /// Takes the database away.
    async fn lose_database(&self) {
        self.service.database.allow_connections(false).await;
        self.proxy.cut();
        let task = async || {
            let answer = Answer::to(self.service.get("/tasks", &ann())).await;
            (answer.status == 503).then_some(())
        };
        eventually("requests fail", task).await;
    }
}

/// Waits until a metric is more than a few minutes, or that many.
async fn until(service: &Service, metric: &str, labels: &[(&str, &str)]) {
    let least = if metric.ends_with("_seconds") {
        1_000.0
    } else {
        1.0
    };
    eventually(metric, async || {
        let scrape = Scrape::of(service).await;
        (scrape.sum(metric, labels) >= least).then_some(())
    })
    .await;
}

#[tokio::test]
async fn alerts_fire_with_what_a_service_in_trouble_shows() {
    let healthy = healthy().await;
    let trouble = Trouble::begin().await;
    trouble.lose_database().await;
    let failures = "porchlight_loop_failures_total";
    let looks = Looks::at(&trouble.service, failures, "alerts").await;
    let tests = [
        promtool_test(&healthy.series(None), &[]),
        promtool_test(&looks.series(Some(UNREAD)), &FIRING),
    ];
    let tests = json!({
        "rule_files": [file("deploy/prometheus/rules.yml")],
        "evaluation_interval": format!("{INTERVAL_SECONDS}s"),
        "tests": tests,
    });
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("trouble.yml");
    // JSON is YAML.
    std::fs::write(&path, tests.to_string()).expect("a file");
    tokio::task::spawn_blocking(move || test_rules(&path))
        .await
        .expect("a thread");
}
