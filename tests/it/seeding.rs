//! The example brokerage: what it has, who sees it, and that it is made once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use porchlight::identity::Role;
use serde_json::{Value, json};

use crate::support::cluster::{TestDatabase, open_dir};
use crate::support::command::{Ended, porchlight};
use crate::support::requests::stream_at;
use crate::support::service::SECRET;
use crate::support::{Answer, Process, Service, Token};

const MODULES: [&str; 5] = ["appointments", "clients", "escrows", "leads", "listings"];
const TEAMS: [&str; 2] = ["team-a", "team-b"];
const MADE: &str = "has 50 appointments, 50 clients, 50 escrows, 50 leads, 50 listings now.";
const LEFT_ALONE: &str = "already has records: nothing was changed.";

fn agent_of_acme(user: &str, team: &str) -> Token {
    Token::user(user, &[team]).of("acme")
}

/// The one who is on both teams.
fn ann_of_acme() -> Token {
    Token::user("ann", &TEAMS).of("acme").in_role(Role::Admin)
}

type Records = BTreeMap<String, Value>;

async fn records(service: &Service, who: &Token, module: &str) -> Records {
    let path = format!("/records/{module}?archived=all&limit=200");
    let listed = service.list(&path, who).await;
    let records = listed["records"].as_array().expect("records");
    let by_id = |record: &Value| (text(record, "id"), record.clone());
    records.iter().map(by_id).collect()
}

fn text(record: &Value, field: &str) -> String {
    record[field].as_str().unwrap_or_default().to_owned()
}

async fn seed(database: &TestDatabase, more: &[&str]) -> Ended {
    let url = database.url();
    let variables = [("DATABASE_URL", &*url), ("JWT_SECRET", SECRET)];
    porchlight(&[&["seed"], more].concat(), &variables).await
}

/// The variables that a shell gets, except for PATH and directories.
fn variables(ended: &Ended) -> BTreeMap<&str, &str> {
    let lines = ended.stdout.lines().map(|line| {
        let line = line.strip_prefix("export ").expect("a variable");
        line.split_once('=').expect("a value")
    });
    lines
        .filter(|(name, _)| !name.contains("PATH") && !name.ends_with("_DIR"))
        .map(|(name, value)| (name, value.trim_matches('\'')))
        .collect()
}

fn tokens(ended: &Ended) -> BTreeMap<&str, &str> {
    let mut variables = variables(ended);
    variables.remove("URL").expect("a URL");
    variables
}

#[tokio::test]
async fn there_are_fifty_of_each_and_teams_see_their_own_and_the_brokerages() {
    let service = Service::with(&["--demo"]).await;
    for module in MODULES {
        let all = records(&service, &ann_of_acme(), module).await;
        let mut seen = BTreeSet::new();
        for (user, team) in [("bob", "team-a"), ("eve", "team-b")] {
            let own = records(&service, &agent_of_acme(user, team), module).await;
            let is_own = |record: &Value| record["teamId"].is_null() || record["teamId"] == team;
            assert!(own.values().all(is_own), "{module}: {own:?}");
            assert!(own.len() < all.len(), "{module}");
            seen.extend(own.into_keys());
        }
        assert_eq!((all.len(), seen.len()), (50, 50), "{module}");
        let owners: BTreeSet<_> = all.values().map(|one| text(one, "ownerId")).collect();
        assert_eq!(owners.len(), 5, "{module}: {owners:?}");
        let states: BTreeSet<_> = all.values().map(|one| text(one, "status")).collect();
        assert!(states.len() >= 3, "{module}: {states:?}");
    }
}

#[tokio::test]
async fn what_is_private_is_there_and_its_owners_and_admins_see_it_alone() {
    let service = Service::with(&["--demo"]).await;
    let all = records(&service, &ann_of_acme(), "escrows").await;
    assert!(
        all.values()
            .all(|escrow| escrow["commission"].as_i64() > Some(1_000))
    );
    let bobs = records(&service, &agent_of_acme("bob", "team-a"), "escrows").await;
    for escrow in bobs.values() {
        let is_masked = escrow["commission"] == "[REDACTED]";
        assert_eq!(is_masked, escrow["ownerId"] != "bob", "{escrow}");
    }
    assert!(bobs.values().any(|escrow| escrow["ownerId"] == "bob"));
}

#[tokio::test]
async fn appointments_are_with_clients_of_the_same_team() {
    let service = Service::with(&["--demo"]).await;
    let clients = records(&service, &ann_of_acme(), "clients").await;
    for appointment in records(&service, &ann_of_acme(), "appointments")
        .await
        .values()
    {
        let client = &clients[&text(appointment, "clientId")];
        for field in ["teamId", "ownerId"] {
            assert_eq!(appointment[field], client[field], "{appointment}");
        }
    }
}

#[tokio::test]
async fn example_records_are_published_by_whoever_made_them() {
    let service = Service::with(&["--demo"]).await;
    let mut stream = service.stream("/stream?since=0", &ann_of_acme()).await;
    for _ in 0..250 {
        let event = stream.next_logged().await.json();
        assert_eq!(event["action"], "created");
        assert_eq!(event["userId"], event["data"]["ownerId"], "{event}");
    }
    let listed = service.list("/activity?limit=1", &ann_of_acme()).await;
    let who = listed["activity"][0]["userName"].as_str().expect("a name");
    assert!(who.contains(' '), "{listed}");
}

#[tokio::test]
async fn it_is_made_once_however_often_it_is_asked_for() {
    let database = Arc::new(TestDatabase::create().await);
    let first = seed(&database, &[]).await;
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(
        first.stderr.contains(&format!("acme {MADE}\n")),
        "{first:?}"
    );
    let service = Service::on(Arc::clone(&database), &["--demo"]).await;
    let before = records(&service, &ann_of_acme(), "leads").await;
    let again = seed(&database, &[]).await;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(
        again.stderr.contains(&format!("acme {LEFT_ALONE}\n")),
        "{again:?}"
    );
    assert_eq!(tokens(&again).len(), 9);
    assert_eq!(records(&service, &ann_of_acme(), "leads").await, before);
}

#[tokio::test]
async fn of_several_at_once_one_makes_it() {
    let database = TestDatabase::create().await;
    // Or they would wait for each other to migrate.
    let migrated = porchlight(&["migrate"], &[("DATABASE_URL", &database.url())]).await;
    assert_eq!(migrated.code, Some(0), "{}", migrated.stderr);
    let ended = futures_util::future::join_all((0..3).map(|_| seed(&database, &[]))).await;
    let made = ended.iter().filter(|one| one.stderr.contains(MADE)).count();
    let left = ended.iter().filter(|one| one.stderr.contains(LEFT_ALONE));
    assert_eq!((made, left.count()), (1, 2), "{ended:?}");
    let count = sqlx::query_scalar::<_, i64>("select count(*) from porchlight.clients");
    let count = count.fetch_one(&mut database.connect().await).await;
    assert_eq!(count.expect("a count"), 50);
}

#[tokio::test]
async fn a_broker_that_has_a_record_is_left_alone_and_others_are_not() {
    let service = Service::start().await;
    let request = service.client.post(service.url("/records/leads"));
    let request = request.bearer_auth(agent_of_acme("zoe", "elsewhere").signed());
    let answer = Answer::to(request.json(&json!({"name": "The only one"}))).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let ended = seed(&service.database, &[]).await;
    assert!(
        ended.stderr.contains(&format!("acme {LEFT_ALONE}\n")),
        "{ended:?}"
    );
    assert!(
        records(&service, &ann_of_acme(), "clients")
            .await
            .is_empty()
    );
    let ended = seed(&service.database, &["--broker=b-2"]).await;
    assert!(ended.stderr.contains(&format!("b-2 {MADE}\n")), "{ended:?}");
    assert_eq!(
        records(&service, &ann_of_acme().of("b-2"), "leads")
            .await
            .len(),
        50
    );
    assert!(records(&service, &ann_of_acme(), "leads").await.is_empty());
}

#[tokio::test]
async fn other_modules_have_those_records_that_are_kept_here() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("modules.toml");
    let flag = format!("--modules={}", file.display());
    let boats = "[[module]]\nname = 'boats'\nsingular = 'boat'\n";
    let leads = format!("{boats}[[module]]\nname = 'leads'\nsingular = 'lead'\n");
    for (modules, said) in [
        (
            boats,
            "No module has its records here: nothing was created.",
        ),
        (&leads, "acme has 50 leads now."),
    ] {
        std::fs::write(&file, modules).expect("a file");
        let ended = seed(&database, &[&flag]).await;
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
}

#[tokio::test]
async fn the_tokens_open_the_service() {
    let service = Service::start().await;
    let ended = seed(&service.database, &[]).await;
    let tokens = tokens(&ended);
    let names: Vec<_> = tokens.keys().copied().collect();
    let people = ["ANN", "BOB", "CLEO", "DAN", "EVE"];
    assert_eq!(
        names,
        [
            &["ADMIN"],
            &people[..3],
            &["DAN", "EVE", "SERVICE", "TOKEN", "WORKER"]
        ]
        .concat()
    );
    let mut seen = Vec::new();
    for token in people.map(|person| tokens[person]) {
        let url = service.url("/records/listings?limit=200");
        let answer = Answer::to(service.client.get(url).bearer_auth(token)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        seen.push(answer.json()["records"].as_array().expect("records").len());
    }
    assert_eq!(
        (seen[0], seen[1], seen[3]),
        (50, seen[2], seen[4]),
        "{seen:?}"
    );
}

#[tokio::test]
async fn where_only_public_keys_are_known_there_are_no_tokens() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/ed25519.public.pem");
    let settings = [("DATABASE_URL", &*url), ("JWT_PUBLIC_KEY_FILE", key)];
    let ended = porchlight(&["seed"], &settings).await;
    assert!(ended.stderr.contains(MADE), "{ended:?}");
    let names: Vec<_> = variables(&ended).into_keys().collect();
    assert_eq!(names, ["URL"], "{ended:?}");
}

#[tokio::test]
async fn a_database_of_its_own_is_filled_whether_a_service_runs_on_it_or_not() {
    let dir = open_dir();
    let data_dir = dir.path().to_str().expect("text");
    let variables = [("PORCHLIGHT_DATA_DIR", data_dir), ("JWT_SECRET", SECRET)];
    let ended = porchlight(&["seed"], &variables).await;
    assert!(ended.stderr.contains(MADE), "{ended:?}");
    let process = Process::start("127.0.0.1:0", &variables).await;
    let ended = porchlight(&["seed", "--broker=b-2"], &variables).await;
    assert!(ended.stderr.contains(MADE), "{ended:?}");
    for broker in ["acme", "b-2"] {
        let url = process.url("/stream?since=0");
        let mut stream = stream_at(&url, &ann_of_acme().of(broker), true).await;
        for _ in 0..250 {
            assert_eq!(stream.next_logged().await.json()["action"], "created");
        }
    }
}
