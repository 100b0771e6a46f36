//! The commands that print something and end.

use porchlight::api::DOCUMENT;
use serde_json::{Value, json};

use crate::support::cluster::{TestDatabase, open_dir};
use crate::support::command::porchlight;
use crate::support::service::SECRET;
use crate::support::{Answer, Service};

mod env_file;

#[tokio::test]
async fn the_description_is_printed() {
    let ended = porchlight(&["openapi"], &[]).await;
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        serde_json::from_str::<Value>(&ended.stdout).unwrap(),
        *DOCUMENT
    );
}

#[tokio::test]
async fn a_printed_token_opens_a_service_with_the_same_secret() {
    let service = Service::start().await;
    let ttl = [
        "token",
        "--user=u-1",
        "--broker=b",
        "--team=a,z",
        "--role=service",
        "--ttl=5m",
    ];
    let ended = porchlight(&ttl, &[("JWT_SECRET", SECRET)]).await;
    assert_eq!((ended.code, &ended.stderr[..]), (Some(0), ""));
    let token = ended.stdout.trim();
    let request = service
        .client
        .post(service.url("/events"))
        .bearer_auth(token);
    let request = request.json(&json!({"type": "t", "audience": {"team": "z"}}));
    assert_eq!(Answer::to(request).await.status, 201);
    let request = service
        .client
        .get(service.url("/events?scope=team&team=z"))
        .bearer_auth(token);
    assert_eq!(
        Answer::to(request).await.json()["events"][0]["userId"],
        "u-1"
    );
}

#[tokio::test]
async fn a_token_that_cannot_be_made_is_refused_with_an_explanation() {
    for (arguments, word) in [
        (&["token", "--broker=b"][..], "--user"),
        (&["token", "--user=u"], "--broker"),
        (&["token", "--user= a", "--broker=b"], "--user"),
        (
            &["token", "--user=u", "--broker=b", "--role=root"],
            "--role",
        ),
        (&["token", "--user=u", "--broker=b", "--ttl=1y"], "--ttl"),
    ] {
        let ended = porchlight(arguments, &[("JWT_SECRET", SECRET)]).await;
        assert_eq!(
            (ended.code, &ended.stdout[..]),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
    let arguments = ["token", "--user=u", "--broker=b"];
    for secret in ["", "-----BEGIN PUBLIC KEY-----"] {
        let ended = porchlight(&arguments, &[("JWT_SECRET", secret)]).await;
        assert!(
            ended.code == Some(1) && ended.stderr.contains("JWT_SECRET"),
            "{ended:?}"
        );
    }
}

/// Settings that a service and its commands share.
const CHECKS: [(&str, &str); 4] = [
    ("JWT_SECRET", SECRET),
    ("JWT_ISSUER", "https://crm"),
    ("JWT_AUDIENCE", "porchlight,crm"),
    ("JWT_MAX_SECONDS", "1800"),
];

async fn checking_service() -> Service {
    Service::with(&[
        "--jwt-issuer=https://crm",
        "--jwt-audience=porchlight,crm",
        "--jwt-max-seconds=1800",
    ])
    .await
}

async fn status_with(service: &Service, token: &str) -> u16 {
    let request = service.client.get(service.url("/session"));
    Answer::to(request.bearer_auth(token)).await.status
}

#[tokio::test]
async fn tokens_of_commands_open_a_service_with_the_same_checks() {
    let service = checking_service().await;
    let database = service.database.url();
    let variables = [&CHECKS[..], &[("DATABASE_URL", &*database)]].concat();
    let printed = porchlight(&["token", "--user=u", "--broker=b"], &variables).await;
    assert_eq!(status_with(&service, printed.stdout.trim()).await, 200);
    let seeded = porchlight(&["seed"], &variables).await;
    let mut lines = seeded.stdout.lines();
    let token = lines.find_map(|line| line.strip_prefix("export TOKEN='"));
    let token = token.expect("a token").trim_end_matches('\'');
    assert_eq!(status_with(&service, token).await, 200);
}

/// A little load, for a second.
const LOAD: [&str; 7] = [
    "bench",
    "--json",
    "-n=1",
    "-t=1",
    "-r=20",
    "-s=1",
    "--warmup=0",
];

#[tokio::test]
async fn a_bench_opens_streams_of_a_service_that_checks_tokens() {
    let service = checking_service().await;
    let url = format!("--url={}", service.url(""));
    let load = [&LOAD[..], &[&url]].concat();
    let ended = porchlight(&load, &CHECKS).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).expect("a report");
    assert_ne!(report["publishes"]["accepted"], 0, "{report}");
}

#[tokio::test]
async fn a_token_that_the_service_would_refuse_is_not_printed() {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/ed25519.public.pem");
    let token = ["token", "--user=u", "--broker=b", "--ttl=2h"];
    for (variables, word) in [
        (&CHECKS[..], "JWT_MAX_SECONDS (1800)"),
        (&[("JWT_JWKS_FILE", "/any/file")], "JWT_JWKS_FILE"),
        (&[("JWT_PUBLIC_KEY_FILE", key)], "JWT_PUBLIC_KEY_FILE"),
    ] {
        let ended = porchlight(&token, variables).await;
        assert_eq!((ended.code, &ended.stdout[..]), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains(word), "{ended:?}");
    }
}

#[tokio::test]
async fn a_bench_fails_when_the_server_accepts_nothing() {
    let service = Service::start().await;
    let url = format!("--url={}", service.url(""));
    let load = [&LOAD[..], &[&url]].concat();
    let secret = [("JWT_SECRET", SECRET)];
    let ended = porchlight(&load, &secret).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let nowhere = [&load[..], &["--publish-path=/nowhere"]].concat();
    let ended = porchlight(&nowhere, &secret).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("accepted no event: status 404"),
        "{}",
        ended.stderr
    );
    let report: Value = serde_json::from_str(&ended.stdout).expect("a report");
    assert_eq!(report["publishes"]["accepted"], 0);
}

#[tokio::test]
async fn psql_runs_on_the_database_of_the_settings_and_ends_as_it_does() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let variables = [("DATABASE_URL", &*url)];
    let select = ["psql", "-X", "-At", "-c", "select current_database()"];
    let ended = porchlight(&select, &variables).await;
    assert_eq!(ended.stdout.trim(), database.name(), "{ended:?}");
    let wrong = porchlight(&["psql", "-X", "-c", "select 1/0"], &variables).await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.stderr.contains("division by zero"), "{wrong:?}");
}

#[tokio::test]
async fn psql_starts_the_embedded_database_when_there_is_one() {
    let dir = open_dir();
    let data_dir = dir.path().to_str().expect("text");
    let variables = [("PORCHLIGHT_DATA_DIR", data_dir)];
    let select = [
        "psql",
        "-X",
        "-At",
        "-c",
        "select count(*) from porchlight.tasks",
    ];
    let early = porchlight(&select, &variables).await;
    assert_eq!(early.code, Some(1), "{early:?}");
    assert!(early.stderr.contains("there is no database"), "{early:?}");
    let migrated = porchlight(&["migrate"], &variables).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let ended = porchlight(&select, &variables).await;
    assert_eq!(ended.stdout.trim(), "0", "{ended:?}");
}

#[tokio::test]
async fn help_names_every_variable_and_shows_no_secret() {
    let (url, secret) = (
        "postgres://user:hush-hush@localhost/x",
        "another-hush-hush-of-many-bytes!",
    );
    let variables = [("DATABASE_URL", url), ("JWT_SECRET", secret)];
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["migrate", "--help"],
    ] {
        let ended = porchlight(arguments, &variables).await;
        assert_eq!(ended.code, Some(0));
        for name in [
            "PORCHLIGHT_ADDR",
            "DATABASE_URL",
            "PORCHLIGHT_DATA_DIR",
            "JWT_SECRET",
            "JWT_JWKS_FILE",
            "JWT_PUBLIC_KEY_FILE",
            "PORCHLIGHT_STREAMS_PER_USER",
            "PORCHLIGHT_RETENTION_HOURS",
            "PORCHLIGHT_BODY_BYTES",
            "PORCHLIGHT_EVENT_BYTES",
            "PORCHLIGHT_CORS_ORIGINS",
        ] {
            assert!(ended.stdout.contains(name), "{name} in {arguments:?}");
        }
        assert!(!ended.stdout.contains("hush-hush"), "{}", ended.stdout);
    }
    let ended = porchlight(&["--help"], &[]).await;
    for command in [
        "serve", "token", "migrate", "seed", "psql", "openapi", "bench",
    ] {
        assert!(ended.stdout.contains(command), "{command}");
    }
    let ended = porchlight(&["--version"], &[]).await;
    assert_eq!(
        ended.stdout.trim(),
        format!("porchlight {}", env!("CARGO_PKG_VERSION"))
    );
}
