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

#[tokio::test]
async fn a_bench_fails_when_the_server_accepts_nothing() {
    let service = Service::start().await;
    let url = service.url("");
    let load = [
        "bench",
        "--json",
        "--url",
        &url,
        "-n=1",
        "-t=1",
        "-r=20",
        "-s=1",
        "--warmup=0",
    ];
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
