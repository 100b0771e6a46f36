//! Starting: settings that cannot work are refused with an explanation, and many instances may
//! start together.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use socket2::{Domain, Socket, Type};
use sqlx::migrate::Migrate;
use tokio::net::TcpStream;

use crate::support::cluster::{TestDatabase, open_dir};
use crate::support::command::porchlight;
use crate::support::requests::client;
use crate::support::service::SECRET;
use crate::support::{Answer, Process, Service, Token, eventually};

/// A setting, and a value that it must not have.
const BAD: &[(&str, &str, &str)] = &[
    ("PORCHLIGHT_ADDR", "--addr", "localhost"),
    ("PORCHLIGHT_ADDR", "--addr", "127.0.0.1:99999"),
    ("PORCHLIGHT_ADDR", "--addr", ""),
    ("PORCHLIGHT_WORKERS", "--workers", "-1"),
    ("PORCHLIGHT_WORKERS", "--workers", "257"),
    ("PORCHLIGHT_CORS_ORIGINS", "--cors-origins", "*"),
    (
        "PORCHLIGHT_CORS_ORIGINS",
        "--cors-origins",
        "https://a.example/path",
    ),
    (
        "PORCHLIGHT_CORS_ORIGINS",
        "--cors-origins",
        "https://a.example,crm",
    ),
    ("PORCHLIGHT_BODY_BYTES", "--body-bytes", "0"),
    ("PORCHLIGHT_BODY_BYTES", "--body-bytes", "256k"),
    (
        "PORCHLIGHT_BODY_TIMEOUT_SECONDS",
        "--body-timeout-seconds",
        "0",
    ),
    (
        "PORCHLIGHT_HEAD_TIMEOUT_SECONDS",
        "--head-timeout-seconds",
        "601",
    ),
    ("PORCHLIGHT_EVENT_BYTES", "--event-bytes", "99999999"),
    (
        "PORCHLIGHT_CONNECTIONS_PER_WORKER",
        "--connections-per-worker",
        "1",
    ),
    ("PORCHLIGHT_LOG_FORMAT", "--log-format", "xml"),
    (
        "PORCHLIGHT_DATABASE_CONNECTIONS",
        "--database-connections",
        "1",
    ),
    ("PORCHLIGHT_POLL_MS", "--poll-ms", "0"),
    ("PORCHLIGHT_RETENTION_HOURS", "--retention-hours", "0"),
    ("PORCHLIGHT_RETENTION_HOURS", "--retention-hours", "876001"),
    ("PORCHLIGHT_RETENTION_HOURS", "--retention-hours", "forever"),
    ("PORCHLIGHT_RETENTION_EVENTS", "--retention-events", "-5"),
    (
        "PORCHLIGHT_RETENTION_INTERVAL_SECONDS",
        "--retention-interval-seconds",
        "0",
    ),
    ("PORCHLIGHT_STREAMS_PER_USER", "--streams-per-user", "0"),
    ("PORCHLIGHT_MAX_STREAMS", "--max-streams", "1e5"),
    ("PORCHLIGHT_HEARTBEAT_SECONDS", "--heartbeat-seconds", "301"),
    (
        "PORCHLIGHT_HEARTBEAT_MIN_SECONDS",
        "--heartbeat-min-seconds",
        "0",
    ),
    ("PORCHLIGHT_EXPIRING_SECONDS", "--expiring-seconds", "0"),
    (
        "PORCHLIGHT_DRAIN_SPREAD_SECONDS",
        "--drain-spread-seconds",
        "601",
    ),
    (
        "PORCHLIGHT_WRITE_TIMEOUT_SECONDS",
        "--write-timeout-seconds",
        "0",
    ),
    ("PORCHLIGHT_MEMORY_MB", "--memory-mb", "0"),
    ("PORCHLIGHT_WITH_WORKER", "--with-worker", "2"),
    ("PORCHLIGHT_PARK_STREAMS", "--park-streams", "2"),
    ("JWT_ISSUER", "--jwt-issuer", ""),
    ("JWT_AUDIENCE", "--jwt-audience", "a,,b"),
    ("PORCHLIGHT_CLAIM_BROKER", "--claim-broker", ""),
    ("PORCHLIGHT_TOKEN_COOKIE", "--token-cookie", "a b"),
    ("PORCHLIGHT_BROKER_QUERY", "--broker-query", ""),
    (
        "PORCHLIGHT_BROKER_CACHE_SECONDS",
        "--broker-cache-seconds",
        "0",
    ),
];

#[tokio::test]
async fn a_bad_setting_is_refused_at_start_and_named_with_the_reason() {
    for (variable, flag, value) in BAD {
        let secret = ("JWT_SECRET", SECRET);
        for command in [&["serve"][..], &[], &["migrate"]] {
            let ended = porchlight(command, &[secret, (variable, value)]).await;
            assert_eq!(ended.code, Some(2), "{variable}={value}: {}", ended.stderr);
            // Of a list, the part that is wrong.
            let part = value.rsplit(',').next().expect("a part");
            for word in [variable, flag, part] {
                assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
            }
        }
        let ended = porchlight(&["serve", &format!("{flag}={value}")], &[secret]).await;
        assert_eq!(ended.code, Some(2), "{flag}={value}: {}", ended.stderr);
        assert!(ended.stderr.contains(flag), "{}", ended.stderr);
        assert!(
            !ended.stderr.contains("environment variable"),
            "{}",
            ended.stderr
        );
    }
    // The flag is wrong, and the variable is not.
    let addr = [("PORCHLIGHT_ADDR", "127.0.0.1:9999")];
    let ended = porchlight(&["serve", "--addr=localhost:80"], &addr).await;
    assert!(
        ended.code == Some(2) && !ended.stderr.contains("environment variable"),
        "{ended:?}"
    );
    for arguments in [&["--nonsense"][..], &["nonsense"], &["serve", "--addr"]] {
        let ended = porchlight(arguments, &[]).await;
        assert!(
            ended.code == Some(2) && !ended.stderr.is_empty(),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_start_with_an_explanation() {
    let dir = open_dir();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (invalid, data) = (file("rubbish", "rubbish"), file("data", ""));
    let (anywhere, nowhere) = (
        ("PORCHLIGHT_ADDR", "0.0.0.0:0"),
        ("DATABASE_URL", "postgres://x@127.0.0.1:1/x"),
    );
    let secret = ("JWT_SECRET", SECRET);
    for (variables, words) in [
        (vec![anywhere, nowhere], &["JWT_SECRET", "0.0.0.0:0"][..]),
        (
            vec![("PORCHLIGHT_ADDR", "[::]:0"), nowhere],
            &["JWT_SECRET", "[::]:0"],
        ),
        (vec![("JWT_SECRET", ""), nowhere], &["JWT_SECRET", "empty"]),
        (
            vec![("JWT_SECRET", "-----BEGIN PUBLIC KEY-----"), nowhere],
            &["JWT_SECRET", "JWT_PUBLIC_KEY_FILE"],
        ),
        (
            vec![("JWT_PUBLIC_KEY_FILE", &invalid), nowhere],
            &["JWT_PUBLIC_KEY_FILE", "rubbish"],
        ),
        (
            vec![("JWT_JWKS_FILE", &invalid), nowhere],
            &["JWT_JWKS_FILE", "rubbish"],
        ),
        (
            vec![("JWT_JWKS_FILE", "/no/such/file"), nowhere],
            &["JWT_JWKS_FILE", "/no/such/file"],
        ),
        (vec![secret, ("DATABASE_URL", "")], &["DATABASE_URL"]),
        (
            vec![secret, ("DATABASE_URL", "nonsense")],
            &["DATABASE_URL"],
        ),
        (vec![secret, nowhere], &["database"]),
        (vec![secret, ("PORCHLIGHT_DATA_DIR", &data)], &[&data]),
        (
            vec![secret, nowhere, ("PORCHLIGHT_LOG", "a=b=c")],
            &["PORCHLIGHT_LOG"],
        ),
        (
            vec![secret, nowhere, ("PORCHLIGHT_LOG", "warning")],
            &["PORCHLIGHT_LOG", "\"warning\"", "error, warn, info"],
        ),
        (
            vec![
                secret,
                nowhere,
                ("JWT_ISSUER", "any"),
                ("JWT_AUDIENCE", "any"),
                ("PORCHLIGHT_ADDR", "203.0.113.1:80"),
            ],
            &["cannot listen", "203.0.113.1:80"],
        ),
        // Tokens that were made for others are accepted on a loopback address only.
        (
            vec![secret, anywhere, nowhere],
            &["JWT_ISSUER", "0.0.0.0:0", "any"],
        ),
        (
            vec![secret, anywhere, nowhere, ("JWT_ISSUER", "crm")],
            &["JWT_AUDIENCE", "0.0.0.0:0"],
        ),
    ] {
        let local = variables.iter().any(|(name, _)| *name == "PORCHLIGHT_ADDR");
        let addr = (!local).then_some(("PORCHLIGHT_ADDR", "127.0.0.1:0"));
        let all: Vec<_> = variables.iter().copied().chain(addr).collect();
        let ended = porchlight(&["serve"], &all).await;
        assert_eq!(ended.code, Some(1), "{variables:?}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
        }
        assert!(
            !ended.stderr.contains("panicked") && !ended.stderr.contains(SECRET),
            "{}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn migrating_twice_is_fine_and_a_migrated_database_serves() {
    let database = Arc::new(TestDatabase::empty().await);
    let url = database.url();
    for _ in 0..2 {
        let ended = porchlight(&["migrate"], &[("DATABASE_URL", &url)]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    let service = Service::on(database, &[]).await;
    service
        .publish(&json!({"type": "t", "audience": {"broker": true}}))
        .await;
}

#[tokio::test]
async fn services_that_start_together_on_an_empty_database_all_come_up() {
    for _ in 0..3 {
        let database = Arc::new(TestDatabase::empty().await);
        let url = database.url();
        let variables = [("DATABASE_URL", url.as_str())];
        let starting = (0..4).map(|_| Process::start("127.0.0.1:0", &variables));
        let processes = futures_util::future::join_all(starting).await;
        let client = client(true);
        for process in &processes {
            let ready = client.get(process.url("/health/ready"));
            assert_eq!(Answer::to(ready).await.status, 200);
        }
        let body = json!({"type": "t", "audience": {"team": "a"}});
        let request = client.post(processes[0].url("/events")).json(&body);
        let published = Answer::to(request.bearer_auth(Token::service("b").signed())).await;
        let position = published.json()["positions"][0].clone();
        for process in &processes {
            let request = client.get(process.url("/events?wait=30"));
            let page = Answer::to(request.bearer_auth(Token::user("u", &["a"]).signed())).await;
            assert_eq!(page.json()["events"][0]["position"], position);
        }
    }
}

/// An address that nobody else gets for as long as this socket exists. It does not listen.
fn reserved() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("an option");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("an address");
    let addr = socket.local_addr().expect("an address").as_socket();
    (socket, addr.expect("an address of the network"))
}

#[tokio::test]
async fn an_instance_that_waits_for_the_migration_of_another_refuses_connections() {
    let database = TestDatabase::empty().await;
    let (_reservation, addr) = reserved();
    let mut other = database.connect().await;
    other.lock().await.expect("the lock of migrations");
    let wait_begins = async {
        let waits = "select count(*) from pg_stat_activity where datname = current_database()
            and wait_event_type = 'Lock' and wait_event = 'advisory'";
        eventually("the instance waits", async || {
            let mut look = database.connect().await;
            let waits = sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut look);
            (waits.await.expect("a count") > 0).then_some(())
        })
        .await;
        let connected = TcpStream::connect(addr).await;
        let refused = connected.expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
        other.unlock().await.expect("the lock is free");
    };
    let (addr, url) = (addr.to_string(), database.url());
    let variables = [("DATABASE_URL", &*url)];
    let (process, ()) = tokio::join!(Process::start(&addr, &variables), wait_begins);
    let answer = Answer::to(client(true).get(process.url("/health/ready"))).await;
    assert_eq!(answer.status, 200);
}
