//! Private fields reach the owner and the admins, and nobody else by any path.

use std::sync::Arc;

use porchlight::identity::Role;
use serde_json::{Value, json};

use super::{Crm, LISTINGS, MARKER, WATCH, agent, run};
use crate::support::cluster::TestDatabase;
use crate::support::people::readers_of_private_fields;
use crate::support::requests::stream_at;
use crate::support::{Answer, Process, Service, Stream, Token, eventually};

/// Values that must not be seen; as text they are in no other value.
const CANARIES: [&str; 2] = ["7654321.50", "1234567.25"];

/// Those that receive no row at all.
fn strangers() -> Vec<Token> {
    let admin = |token: Token| token.in_role(Role::Admin);
    vec![
        Token::user("ann", &["z"]),
        admin(Token::user("boss", &["z"])),
        admin(Token::user("ann", &["a"])).of("c"),
    ]
}

/// Created and updated, with a private field each time.
async fn write(sql: &mut sqlx::PgConnection) {
    run(
        sql,
        "insert into public.listings (id, team_id, agent_id, commission, list_price)
             values ('l-1', 'a', 'ann', 7654321.50, 1);
         update public.listings set commission = 1234567.25, list_price = 2",
    )
    .await;
    run(sql, MARKER).await;
}

fn check(seen: &str, may_see: bool, what: &str) {
    for canary in CANARIES {
        assert_eq!(seen.contains(canary), may_see, "{what}: {seen}");
    }
    assert_eq!(seen.contains("[REDACTED]"), !may_see, "{what}: {seen}");
}

async fn streams(service: &Service, query: &str) -> Vec<(String, bool, Stream)> {
    let mut streams = Vec::new();
    for (token, sees) in readers_of_private_fields() {
        for path in [
            "/stream?",
            "/stream/team?named=false&",
            "/stream/records/listings/l-1?",
        ] {
            for gzip in [false, true] {
                let url = service.url(&format!("{path}{query}"));
                let stream = stream_at(&url, &token, gzip).await;
                let what = format!("{token:?} {path}{query} gzip {gzip}");
                streams.push((what, sees, stream));
            }
        }
    }
    streams
}

/// The next two events of each stream, to the letter.
async fn check_streams(streams: &mut [(String, bool, Stream)]) {
    for (what, sees, stream) in streams {
        let received = stream.logged(2).await;
        let changes = received[1].json()["changes"].clone();
        assert_eq!(changes["listPrice"], 2, "{what}");
        let received: Vec<_> = received.into_iter().map(|message| message.data).collect();
        check(&received.join("\n"), *sees, what);
    }
}

async fn check_pages(service: &Service) {
    for (token, sees) in readers_of_private_fields() {
        for path in [
            "/events?limit=2",
            "/events?scope=team&limit=2",
            "/events?before=3&limit=2",
            "/events?after=0&wait=1&limit=2",
            "/events?records=listings/l-1",
        ] {
            let text = Answer::to(service.get(path, &token)).await.text;
            check(&text, sees, &format!("{token:?} {path}"));
        }
    }
    for token in strangers() {
        // Owners are notified of changes wherever they are.
        let page = service.list("/events?types=listing:*,test:*", &token).await;
        let page = page.to_string();
        let path = "/stream?since=0&types=listing:*,test:*";
        let mut stream = service.stream(path, &token).await;
        let received = match &token.broker[..] {
            "b" => stream.next_logged().await.data,
            _ => String::new(),
        };
        for word in CANARIES.iter().chain(&["REDACTED", "l-1"]) {
            assert!(!page.contains(word), "{token:?}: {page}");
            assert!(!received.contains(word), "{token:?}: {received}");
        }
    }
}

#[tokio::test]
async fn no_private_field_reaches_anyone_without_the_right_by_any_path() {
    let database = Arc::new(TestDatabase::create().await);
    let flags = ["--streams-per-user=1000"];
    let a = Service::on(Arc::clone(&database), &flags).await;
    let b = Service::on(Arc::clone(&database), &flags).await;
    let mut sql = database.connect().await;
    run(&mut sql, LISTINGS).await;
    run(&mut sql, WATCH).await;
    let (mut at_a, mut at_b) = (streams(&a, "").await, streams(&b, "").await);
    write(&mut sql).await;
    check_streams(&mut at_a).await;
    check_streams(&mut at_b).await;
    // Replayed from memory, and listed.
    check_streams(&mut streams(&a, "since=0").await).await;
    check_pages(&a).await;
    check_pages(&b).await;
    for service in [a, b] {
        service.stop().await;
    }
    // A new process has nothing in memory.
    let c = Service::on(database, &flags).await;
    check_streams(&mut streams(&c, "since=0").await).await;
    check_pages(&c).await;
}

#[tokio::test]
async fn what_is_private_is_decided_by_the_rights_at_the_moment_of_reading() {
    let mut crm = Crm::with_listings().await;
    write(&mut crm.sql).await;
    crm.run("update public.listings set agent_id = 'cid', commission = 5; update public.listings set commission = null")
        .await;
    crm.listed().await;
    let seen = async |token: Token| -> Vec<Value> {
        let page = crm.a.list("/events", &token).await;
        let events = page["events"].as_array().unwrap();
        let private = |event: &Value| match &event["data"] {
            Value::Null => event["changes"]["commission"].clone(),
            data => data["commission"].clone(),
        };
        events
            .iter()
            .filter(|event| event["module"] == "listings")
            .map(private)
            .collect()
    };
    let masked = || json!("[REDACTED]");
    let (first, second) = (json!(7_654_321.5), json!(1_234_567.25));
    let of_all = [first, second, json!(5), json!(null)];
    let of_none = [masked(), masked(), masked(), masked()];
    assert_eq!(seen(agent("ann")).await, of_none);
    assert_eq!(seen(agent("cid")).await, of_all);
    assert_eq!(seen(agent("bob")).await, of_none);
    let promoted = agent("bob").in_role(Role::Admin);
    assert_eq!(seen(promoted).await, of_all);
}

#[tokio::test]
async fn nothing_private_is_logged() {
    let database = Arc::new(TestDatabase::create().await);
    let url = database.url();
    let variables = [("DATABASE_URL", &url[..]), ("PORCHLIGHT_LOG", "trace")];
    let process = Process::start("127.0.0.1:0", &variables).await;
    let mut sql = database.connect().await;
    run(&mut sql, LISTINGS).await;
    run(&mut sql, WATCH).await;
    // Refused by the log, and by the relay, twice each; and published.
    run(
        &mut sql,
        "alter table porchlight.events add check (record_id is distinct from 'cursed');
         insert into public.listings (id, team_id, agent_id, commission)
             values ('cursed', 'a', 'ann', 7654321.50), ('no id', 'a', 'ann', 1234567.25)",
    )
    .await;
    write(&mut sql).await;
    let request = reqwest::Client::new().get(process.url("/stream?since=0"));
    let request = request.bearer_auth(agent("ann").signed());
    let mut stream = Stream::open(request).await;
    assert!(stream.next_logged().await.data.contains(CANARIES[0]));
    eventually("all are set aside", async || {
        let log = process.log.lock().unwrap().clone();
        (log.matches("set aside").count() == 4).then_some(())
    })
    .await;
    let log = process.log.lock().unwrap().clone();
    for canary in CANARIES {
        assert!(!log.contains(canary), "{log}");
    }
}
