//! A canary in every private field and one in every hidden column: by every path that
//! there is, they are seen by nobody without the right.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use sqlx::{Connection, Executor};

use super::{LISTINGS, WATCH, run, until_counted};
use crate::support::own::OwnPostgres;
use crate::support::people::readers_of_private_fields;
use crate::support::requests::{client, stream_at};
use crate::support::{Answer, Process, Stream, Token, eventually};

/// Of a private field: for the owner and admins.
const PRIVATE: &str = "PRIVATE-CANARY";
/// Of a hidden column: for nobody.
const HIDDEN: &str = "HIDDEN-CANARY";

/// Paths that stream what happens to the records.
const STREAMS: [&str; 4] = [
    "/stream?",
    "/stream?named=false&",
    "/stream/team?",
    "/stream/records/listings/l-1?",
];
const PAGES: [&str; 6] = [
    "/events?limit=1000",
    "/events?scope=team&limit=1000",
    "/events?records=listings/l-1",
    "/events?after=0&limit=1000",
    "/events?after=0&wait=1&limit=1000",
    "/events?before=1000&limit=1000",
];
/// Paths that say something else, and requests that are refused.
const OTHERS: [&str; 12] = [
    "/metrics",
    "/health/ready",
    "/locks",
    "/presence",
    "/openapi.json",
    "/events?before=1",
    "/events?after=99999",
    "/events?after=1-nope",
    "/events?scope=nobody",
    "/stream/team?team=z",
    "/stream/records/listings/no%20id",
    "/nowhere",
];

async fn open(process: &Process, since: &str) -> Vec<(String, bool, Stream)> {
    let mut streams = Vec::new();
    for (token, sees) in readers_of_private_fields() {
        for path in STREAMS {
            for gzip in [false, true] {
                let url = process.url(&format!("{path}{since}"));
                let stream = stream_at(&url, &token, gzip).await;
                let what = format!("{} {path}{since} gzip {gzip}", token.user);
                streams.push((what, sees, stream));
            }
        }
    }
    streams
}

fn check(text: &str, sees: bool, what: &str) {
    assert!(!text.contains(HIDDEN), "{what}: {text}");
    assert_eq!(text.contains(PRIVATE), sees, "{what}: {text}");
    assert_eq!(text.contains("[REDACTED]"), !sees, "{what}: {text}");
}

/// Everything that each stream says up to the last change.
async fn check_streams(streams: Vec<(String, bool, Stream)>) {
    for (what, sees, mut stream) in streams {
        let mut text = String::new();
        loop {
            let message = stream.next_of_all().await;
            text += &message.data;
            if message.is_logged() && message.json()["changes"]["listPrice"] == 99 {
                break;
            }
        }
        check(&text, sees, &what);
    }
}

async fn text(process: &Process, path: &str, token: &Token) -> String {
    let client = client(true);
    let request = client.get(process.url(path)).bearer_auth(token.signed());
    Answer::to(request).await.text
}

async fn check_pages(process: &Process) {
    for (token, sees) in readers_of_private_fields() {
        for path in PAGES {
            let what = format!("{} {path}", token.user);
            check(&text(process, path, &token).await, sees, &what);
        }
        for path in OTHERS {
            let text = text(process, path, &token).await;
            for canary in [PRIVATE, HIDDEN] {
                assert!(!text.contains(canary), "{} {path}: {text}", token.user);
            }
        }
    }
}

/// Canaries in a watched table, in events that the CRM emits, and in published ones; at last a
/// change without any. Some of it cannot be published.
async fn plant(process: &Process, postgres: &OwnPostgres) {
    let mut sql = postgres.connect().await;
    let table = LISTINGS.replace("commission numeric", "commission text");
    run(&mut sql, &table).await;
    run(&mut sql, WATCH).await;
    run(&mut sql, &format!(
        "alter table porchlight.events add check (record_id is distinct from 'cursed');
         insert into public.listings (id, team_id, agent_id, commission, notes)
             select id, 'a', 'ann', '{PRIVATE}-1', '{HIDDEN}-1' from unnest('{{l-1,cursed,no id}}'::text[]) id;
         update public.listings set commission = '{PRIVATE}-2', notes = '{HIDDEN}-2', list_price = 1;
         update public.listings set archived_at = now(), commission = '{PRIVATE}-3';
         update public.listings set commission = repeat('{PRIVATE}', 9000) where id = 'l-1';
         select porchlight.emit('escrow:sold', '{{\"broker\": \"b\", \"team\": \"a\"}}', module => 'escrows',
             record_id => 'e-1', data => '{{\"ownerId\": \"ann\", \"commission\": \"{PRIVATE}-4\"}}'::jsonb)"
    ))
    .await;
    // Refused, with all of its values.
    let twice = format!(
        "insert into public.listings (id, commission, notes) values ('l-1', '{PRIVATE}', '{HIDDEN}')"
    );
    assert!(sql.execute(sqlx::AssertSqlSafe(twice)).await.is_err());
    let client = client(true);
    let received = json!({"commission": format!("{PRIVATE}-5"), "ownerId": "ann", "price": 5});
    let event = json!({"type": "escrow:sold", "audience": {"team": "a"}, "module": "escrows",
        "recordId": "e-1", "data": received, "changes": {"commission": format!("{PRIVATE}-5")}});
    for (body, status) in [
        (json!({"events": [event, event]}), 201),
        (
            json!({"type": "stream:no", "audience": {"team": "a"}, "data": received}),
            400,
        ),
        (json!({"events": [event, {"nonsense": PRIVATE}]}), 400),
    ] {
        let request = client.post(process.url("/events")).json(&body);
        let request = request.bearer_auth(Token::service("b").signed());
        let Answer {
            status: answered,
            text,
            ..
        } = Answer::to(request).await;
        assert_eq!(answered, status);
        assert!(!text.contains(PRIVATE), "{text}");
    }
    run(
        &mut sql,
        "update public.listings set list_price = 99 where id = 'l-1'",
    )
    .await;
}

/// A backend that is at work on canaries crashes.
async fn crash(postgres: &OwnPostgres) {
    let (mut victim, mut beside) = (postgres.connect().await, postgres.connect().await);
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut victim)
        .await
        .expect("a pid");
    let at_work = format!("select pg_sleep(600), '{PRIVATE}', '{HIDDEN}'");
    let at_work = tokio::spawn(async move {
        let outcome = victim.execute(sqlx::AssertSqlSafe(at_work)).await;
        drop(victim.close().await);
        outcome.is_err()
    });
    let at_work_now = "select count(*) from pg_stat_activity
         where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()";
    until_counted(&mut beside, at_work_now, 1).await;
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
    assert!(at_work.await.expect("no panic"));
    eventually("it is logged", async || {
        postgres
            .log()
            .contains("was terminated by signal 9")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn canaries_are_seen_by_nobody_without_the_right() {
    let postgres = OwnPostgres::start().await;
    let url = postgres.url();
    let variables = [
        ("DATABASE_URL", &url[..]),
        ("PORCHLIGHT_LOG", "trace"),
        ("PORCHLIGHT_STREAMS_PER_USER", "1000"),
    ];
    let process = Process::start("127.0.0.1:0", &variables).await;
    let live = open(&process, "").await;
    plant(&process, &postgres).await;
    check_streams(live).await;
    check_streams(open(&process, "since=0").await).await;
    check_pages(&process).await;
    // A new process has nothing in memory.
    let other = Process::start("127.0.0.1:0", &variables).await;
    check_streams(open(&other, "since=0").await).await;
    check_pages(&other).await;
    let mut sql = postgres.connect().await;
    let reasons = sqlx::query_scalar::<_, String>("select reason from porchlight.poison");
    let reasons = reasons.fetch_all(&mut sql).await.expect("reasons");
    assert_eq!(reasons.len(), 6, "{reasons:?}");
    crash(&postgres).await;
    let log_of = |process: &Process| process.log.lock().unwrap().clone();
    let logs = [
        reasons.join("\n"),
        postgres.log(),
        log_of(&process),
        log_of(&other),
    ];
    for (log, of) in logs.iter().zip(["reasons", "Postgres", "a", "b"]) {
        assert!(!log.is_empty(), "{of}");
        for canary in [PRIVATE, HIDDEN] {
            assert!(!log.contains(canary), "{of}: {log}");
        }
    }
}
