//! The files of `deploy`, `fly.toml`, `compose.yaml` and the `Dockerfile`: what no schema and no program of theirs would notice.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A process has ended by then: half of it for its streams, the rest for its background tasks and the database.
const LONGEST_STOP_SECONDS: u64 = 12;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).expect("a file of the repository")
}

fn manifest(name: &str) -> Value {
    let text = read(&format!("deploy/kubernetes/{name}.yaml"));
    serde_norway::from_str(&text).expect("YAML")
}

/// The value at a path of names and numbers.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    let found = value.pointer(pointer);
    found.unwrap_or_else(|| panic!("{pointer} is missing in {value}"))
}

fn seconds(value: &Value, pointer: &str) -> u64 {
    at(value, pointer).as_u64().expect("seconds")
}

const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
fn the_manifests_for_kubernetes_belong_together() {
    let deployment = manifest("deployment");
    let labels = at(&deployment, "/spec/template/metadata/labels");
    assert_eq!(at(&deployment, "/spec/selector/matchLabels"), labels);
    assert_eq!(at(&manifest("service"), "/spec/selector"), labels);
    let budget = manifest("disruption-budget");
    assert_eq!(at(&budget, "/spec/selector/matchLabels"), labels);
    let autoscaler = manifest("autoscaler");
    let target = at(&autoscaler, "/spec/scaleTargetRef/name");
    assert_eq!(target, at(&deployment, "/metadata/name"));
    let port = at(&deployment, &format!("{CONTAINER}/ports/0/name"));
    let service = manifest("service");
    assert_eq!(at(&service, "/spec/ports/0/targetPort"), port);
    let migration = manifest("migrate");
    for pointer in ["image", "envFrom"] {
        let pointer = format!("{CONTAINER}/{pointer}");
        assert_eq!(at(&migration, &pointer), at(&deployment, &pointer));
    }
    let image = at(&deployment, &format!("{CONTAINER}/image"));
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        image
            .as_str()
            .is_some_and(|image| image.ends_with(&format!(":{version}")))
    );
}

/// Socket buffers count too where memory is limited.
#[test]
fn the_alert_of_memory_comes_before_its_limit() {
    let deployment = manifest("deployment");
    let variables = at(&deployment, &format!("{CONTAINER}/env"));
    let variables = variables.as_array().expect("a list").iter();
    let mut alerts = variables.filter(|one| one["name"] == "PORCHLIGHT_ALERT_MEMORY_MB");
    let alert = alerts.next().and_then(|one| one["value"].as_str());
    let limit = at(&deployment, &format!("{CONTAINER}/resources/limits/memory"));
    assert_eq!((alert, limit.as_str()), (Some("768"), Some("1Gi")));
    let fly = read("fly.toml");
    for line in ["PORCHLIGHT_ALERT_MEMORY_MB = \"768\"", "memory = \"1gb\""] {
        assert!(fly.lines().any(|one| one == line), "{line}");
    }
}

#[test]
fn a_pod_has_the_time_that_it_needs_to_stop() {
    let deployment = manifest("deployment");
    let grace = seconds(&deployment, &format!("{POD}/terminationGracePeriodSeconds"));
    let before = at(
        &deployment,
        &format!("{CONTAINER}/lifecycle/preStop/exec/command/1"),
    );
    let before: u64 = before
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("seconds");
    assert!(grace > before + LONGEST_STOP_SECONDS);
}

#[test]
fn probes_ask_what_they_are_for() {
    let deployment = manifest("deployment");
    for (probe, path) in [
        ("startupProbe", "/health/live"),
        ("livenessProbe", "/health/live"),
        ("readinessProbe", "/health/ready"),
    ] {
        let pointer = format!("{CONTAINER}/{probe}/httpGet/path");
        assert_eq!(at(&deployment, &pointer), path);
    }
    for file in ["fly.toml", "deploy/haproxy.cfg", "deploy/Caddyfile"] {
        assert!(read(file).contains("/health/ready"), "{file}");
    }
}

/// With a database elsewhere, nobody would do them otherwise.
#[test]
fn deployments_do_imports() {
    let deployment = manifest("deployment");
    let variables = at(&deployment, &format!("{CONTAINER}/env"));
    let variables = variables.as_array().expect("variables");
    let worker = serde_json::json!({"name": "PORCHLIGHT_WITH_WORKER", "value": "true"});
    assert!(variables.contains(&worker), "{variables:?}");
    assert_eq!(at(&fly(), "/env/PORCHLIGHT_WITH_WORKER"), "true");
    let unit = read("deploy/systemd/porchlight.service");
    assert!(unit.contains("\nEnvironment=PORCHLIGHT_WITH_WORKER=true\n"));
}

fn compose() -> Value {
    serde_norway::from_str(&read("compose.yaml")).expect("YAML")
}

const COMPOSED: &str = "/services/porchlight";

#[test]
fn compose_starts_the_image_with_a_postgres_of_its_own() {
    let compose = compose();
    let service = at(&compose, COMPOSED);
    let target = at(service, "/build/target").as_str().expect("a target");
    let image = read("Dockerfile");
    assert!(image.contains(&format!("FROM base AS {target}\n")));
    let volume = at(service, "/volumes/0").as_str().expect("a volume");
    let (_, mounted) = volume.split_once(':').expect("a directory");
    assert!(image.contains(&format!("PORCHLIGHT_DATA_DIR={mounted}\n")));
    let grace = at(service, "/stop_grace_period").as_str();
    let grace = grace.and_then(|text| text.strip_suffix('s')?.parse::<u64>().ok());
    assert!(grace.is_some_and(|seconds| seconds > LONGEST_STOP_SECONDS));
}

/// `docs/OPERATING.md` has all settings.
#[test]
fn compose_sets_what_is_a_setting() {
    let compose = compose();
    let variables = at(&compose, &format!("{COMPOSED}/environment"));
    let variables = variables.as_object().expect("variables");
    let operating = read("docs/OPERATING.md");
    for name in variables.keys() {
        assert!(operating.contains(&format!("`{name}`")), "{name}");
    }
    for needed in ["JWT_SECRET", "JWT_ISSUER", "JWT_AUDIENCE"] {
        assert!(variables.contains_key(needed), "{needed}");
    }
}

fn fly() -> Value {
    let fly: toml::Table = read("fly.toml").parse().expect("TOML");
    serde_json::to_value(fly).expect("JSON")
}

#[test]
fn machines_at_fly_have_the_time_that_they_need_to_stop() {
    let fly = fly();
    assert!(seconds(&fly, "/kill_timeout") > LONGEST_STOP_SECONDS);
    assert_eq!(at(&fly, "/kill_signal"), "SIGTERM");
    assert_eq!(at(&fly, "/deploy/release_command"), "migrate");
    assert_eq!(at(&fly, "/http_service/concurrency/type"), "requests");
}

/// The private network has IPv6 only.
#[test]
fn machines_at_fly_listen_on_ipv6() {
    let fly = fly();
    let addr = at(&fly, "/env/PORCHLIGHT_ADDR").as_str();
    let addr: SocketAddr = addr.and_then(|addr| addr.parse().ok()).expect("an address");
    assert!(addr.is_ipv6() && addr.ip().is_unspecified());
    assert_eq!(at(&fly, "/http_service/internal_port"), addr.port());
}

/// It refuses cache mounts that do not have the id of a service in their names.
#[test]
fn railway_builds_the_image() {
    assert!(!read("Dockerfile").contains("--mount=type=cache"));
}

/// A secret that only the service knows signs no token.
#[test]
fn secrets_are_those_of_the_application() {
    let deploying = read("docs/DEPLOYING.md");
    assert!(!deploying.contains("JWT_SECRET=\"$(openssl"));
}

#[test]
fn systemd_understands_the_unit() {
    let unit = read("deploy/systemd/porchlight.service");
    let setting = |name: &str| {
        unit.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    let stop: u64 = setting("TimeoutStopSec")
        .and_then(|text| text.parse().ok())
        .expect("seconds");
    assert!(stop > LONGEST_STOP_SECONDS);
    assert_eq!(setting("Type"), Some("notify"));
    // The program that it starts is not installed here.
    let unit = unit.replace("/usr/local/bin/porchlight serve", "/bin/true");
    let dir = tempfile::tempdir().expect("a directory");
    let file: PathBuf = dir.path().join("porchlight.service");
    std::fs::write(&file, unit).expect("a file");
    let verify = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&file)
        .output();
    // Where there is no systemd, nothing more can be checked.
    if let Ok(verified) = verify {
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        let about_it: Vec<_> = said
            .lines()
            .filter(|line| line.contains("porchlight"))
            .collect();
        assert_eq!(about_it, [""; 0]);
    }
}
