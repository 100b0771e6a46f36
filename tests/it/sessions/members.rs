//! A user who leaves a team keeps the rest.

use std::sync::Arc;

use porchlight::platform::Clock;
use serde_json::{Value, json};

use super::{get, open, revoke, status};
use crate::support::cluster::TestDatabase;
use crate::support::ends::last_words;
use crate::support::forge::honest;
use crate::support::instances::two;
use crate::support::sql::{run, until_counted};
use crate::support::{Answer, Service, Stream, Token, eventually, for_team, number};

#[tokio::test]
async fn a_user_who_leaves_a_team_loses_its_streams_and_keeps_the_others() {
    let instances = two(&[]).await;
    let old = honest(&json!({"sub": "ann", "teams": ["a", "z"], "iat": 1_700_000_000}));
    let [one, other] = &instances;
    let (mut all, mut team) = (
        open(other, "/stream", &old).await.0,
        open(other, "/stream/team?team=a", &old).await.0,
    );
    let now = Clock::system().now().unix_timestamp();
    let newer = honest(&json!({"sub": "ann", "teams": ["a", "z"], "iat": now + 2}));
    let mut stays = open(one, "/stream", &newer).await.0;
    revoke(one, &json!({"user": "ann", "team": "a"})).await;
    assert_eq!(last_words(&mut all).await["reason"], "changed");
    assert_eq!(last_words(&mut team).await["reason"], "changed");
    let gone = Answer::to(get(other, "/stream/team?team=a", &old)).await;
    gone.refused(404, "unknown_team", "the team's stream");
    let ready = open(other, "/stream", &old).await.0;
    assert!(ready.text.contains(r#""teams":["z"]"#), "{}", ready.text);
    let session = Answer::to(get(other, "/session", &old)).await.json();
    assert_eq!(session["teams"], json!(["z"]));
    let mut ready = ready;
    other.publish(&for_team("a", 1)).await;
    other.publish(&for_team("z", 2)).await;
    assert_eq!(number(&ready.next_logged().await), 2);
    // A token that was issued later says that the user is back.
    assert_eq!(number(&stays.next_logged().await), 1);
    assert_eq!(status(one, &old).await.0, 200);
}

async fn members(service: &Service, reader: &str) -> usize {
    let answer = Answer::to(get(service, "/presence?team=a", reader)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["users"].as_array().expect("users").len()
}

#[tokio::test]
async fn a_user_who_leaves_a_team_is_not_seen_there_any_more() {
    let instances = two(&["--presence-grace-seconds=60"]).await;
    let old = honest(&json!({"sub": "ann", "teams": ["a", "z"], "iat": 1_700_000_000}));
    let reader = honest(&json!({"sub": "bob", "teams": ["a"]}));
    let [one, other] = &instances;
    let _stream = open(other, "/stream", &old).await;
    let beat = json!({"session": "tab", "status": "online"});
    let request = one.client.post(one.url("/presence/heartbeat"));
    let request = request.bearer_auth(&old).json(&beat);
    assert_eq!(Answer::to(request).await.status, 200);
    for instance in &instances {
        let seen = async || (members(instance, &reader).await == 1).then_some(());
        eventually("ann is seen", seen).await;
    }
    revoke(one, &json!({"user": "ann", "team": "a"})).await;
    for instance in &instances {
        let gone = async || (members(instance, &reader).await == 0).then_some(());
        eventually("ann is not seen", gone).await;
    }
}

#[tokio::test]
async fn a_newer_token_with_fewer_teams_tells_that_the_user_has_left_the_others() {
    let instances = two(&[]).await;
    let of = |teams: &[&str], iat: i64| honest(&json!({"sub": "ann", "teams": teams, "iat": iat}));
    let old = of(&["a", "z"], 1_700_000_000);
    let [one, other] = &instances;
    let mut ends = open(other, "/stream/team", &old).await.0;
    let teams = async |instance: &Service, token: &str| {
        let session = Answer::to(get(instance, "/session", token)).await.json();
        session["teams"].clone()
    };
    // Neither an older token nor one without a claim of teams tells anything.
    let others = [
        of(&["z"], 1_600_000_000),
        honest(&json!({"sub": "ann", "teams": null, "iat": 1_750_000_000})),
    ];
    for token in &others {
        assert_eq!(status(one, token).await.0, 200);
    }
    assert_eq!(
        teams(one, &of(&["b", "z"], 1_700_000_100)).await,
        json!(["b", "z"])
    );
    assert_eq!(last_words(&mut ends).await["reason"], "changed");
    for instance in &instances {
        assert_eq!(teams(instance, &old).await, json!(["z"]));
        assert_eq!(teams(instance, &others[0]).await, json!(["z"]));
    }
    // The user is back on the team.
    let back = of(&["a", "b", "z"], 1_700_000_200);
    assert_eq!(teams(one, &back).await, json!(["a", "b", "z"]));
    assert_eq!(teams(other, &old).await, json!(["z"]));
}

#[tokio::test]
async fn a_page_that_is_read_while_its_user_leaves_a_team_has_none_of_its_events() {
    const WAITING: &str = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'
        and datname = current_database() and query like '%porchlight.events_page(%'";
    let service = Service::start().await;
    let events = json!({"events": [for_team("a", 1), for_team("z", 2)]});
    service.publish(&events).await;
    let old = honest(&json!({"sub": "ann", "teams": ["a", "z"], "iat": 1_700_000_000}));
    let mut sql = service.database.connect().await;
    let lock = "begin; lock table porchlight.events in access exclusive mode";
    run(&mut sql, lock).await;
    let asking = ["/events", "/events?scope=team&team=a"];
    let asking = asking.map(|path| tokio::spawn(Answer::to(get(&service, path, &old))));
    until_counted(&mut service.database.connect().await, WAITING, 2).await;
    revoke(&service, &json!({"user": "ann", "team": "a"})).await;
    run(&mut sql, "commit").await;
    let [all, team] = asking;
    let all = all.await.expect("an answer");
    assert_eq!(all.status, 200, "{}", all.text);
    let events = all.json()["events"].as_array().expect("events").clone();
    let numbers: Vec<_> = events.iter().map(|event| &event["data"]["n"]).collect();
    assert_eq!(numbers, [2]);
    let team = team.await.expect("an answer");
    team.refused(404, "unknown_team", "the team's events");
}

#[tokio::test]
async fn a_stream_that_opens_while_its_user_leaves_a_team_says_that_rights_have_changed() {
    const WAITING: &str = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'
        and datname = current_database() and query like 'select broker_id, epoch, head, horizon%'";
    let database = Arc::new(TestDatabase::create().await);
    // The log is followed so seldom that only the stream asks for its head.
    let service = Service::on(Arc::clone(&database), &["--poll-ms=60000"]).await;
    let old = honest(&json!({"sub": "ann", "teams": ["a", "z"], "iat": 1_700_000_000}));
    let mut sql = database.connect().await;
    let lock = "begin; lock table porchlight.brokers in access exclusive mode";
    run(&mut sql, lock).await;
    let opening = tokio::spawn(Stream::open(get(&service, "/stream", &old)));
    until_counted(&mut database.connect().await, WAITING, 1).await;
    revoke(&service, &json!({"user": "ann", "team": "a"})).await;
    run(&mut sql, "commit").await;
    let mut stream = opening.await.expect("a stream");
    assert_eq!(last_words(&mut stream).await["reason"], "changed");
}

/// A service that knows the audience of no record, and a record of team `a`.
async fn with_unknown_record() -> Service {
    let database = Arc::new(TestDatabase::create().await);
    let before = Service::on(Arc::clone(&database), &[]).await;
    let event = json!({"type": "listing:created", "audience": {"team": "a"}, "module": "listings",
        "recordId": "l-1"});
    before.publish(&event).await;
    before.stop().await;
    Service::on(database, &[]).await
}

/// A heartbeat of Ann. While the audience of her record is looked up, which has two seconds, something is revoked.
async fn heartbeat_during(service: &Service, revocation: Value) -> Answer {
    const WAITING: &str = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'
        and datname = current_database() and query like '%coalesce(e.position, 0)%'";
    let mut sql = service.database.connect().await;
    let mut watching = service.database.connect().await;
    let lock = "begin; lock table porchlight.events in access exclusive mode";
    run(&mut sql, lock).await;
    let old = honest(&json!({"sub": "ann", "teams": ["a", "z"], "iat": 1_700_000_000}));
    let record = json!({"module": "listings", "recordId": "l-1"});
    let beat = json!({"session": "tab", "viewing": record});
    let request = service.client.post(service.url("/presence/heartbeat"));
    let beat = tokio::spawn(Answer::to(request.bearer_auth(&old).json(&beat)));
    until_counted(&mut watching, WAITING, 1).await;
    revoke(service, &revocation).await;
    run(&mut sql, "commit").await;
    beat.await.expect("an answer")
}

#[tokio::test]
async fn a_heartbeat_does_not_bring_its_user_back_into_a_team_that_they_leave_meanwhile() {
    let service = with_unknown_record().await;
    let answer = heartbeat_during(&service, json!({"user": "ann", "team": "a"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let reader = Token::user("bob", &["a", "z"]);
    let of_a = service.list("/presence?team=a", &reader).await;
    assert_eq!(of_a["users"], json!([]));
    // Ann keeps the other team, and what she looks at is not hers to see any more.
    let of_z = service.list("/presence?team=z", &reader).await;
    assert_eq!(of_z["users"][0]["userId"], "ann");
    assert_eq!(of_z["users"][0]["viewing"], json!([]));
}

#[tokio::test]
async fn a_heartbeat_whose_token_is_revoked_meanwhile_makes_nobody_present() {
    let service = with_unknown_record().await;
    let answer = heartbeat_during(&service, json!({"user": "ann"})).await;
    answer.refused(401, "token_revoked", "a heartbeat");
    let reader = Token::user("bob", &["a", "z"]);
    let present = service.list("/presence", &reader).await;
    assert_eq!(present["users"], json!([]));
}

#[tokio::test]
async fn who_has_left_a_team_stays_away_when_the_revocation_is_forgotten() {
    let database = Arc::new(TestDatabase::create().await);
    let mut sql = database.connect().await;
    Service::on(Arc::clone(&database), &[]).await.stop().await;
    // Bob is back, and the last one is another Ann.
    let rows = "insert into porchlight.memberships values
            ('b', 'ann', '{a,b,c,d}', '2025-01-01'), ('b', 'bob', '{a,b}', '2025-03-01'),
            ('c', 'ann', '{a,b}', '2025-01-01');
        insert into porchlight.revocations values
            ('b', 'member', 'ann', 'b', '2025-02-01', '2025-02-02', 1),
            ('b', 'member', 'ann', 'd', '2025-02-01', '2025-02-02', 2),
            ('b', 'member', 'bob', 'b', '2025-02-01', '2025-02-02', 3)";
    run(&mut sql, rows).await;
    let _service = Service::on(database, &[]).await;
    let forgotten = "select 3 - count(*) from porchlight.revocations";
    until_counted(&mut sql, forgotten, 3).await;
    let teams = "select string_agg(m::text, ' ' order by m.broker_id, m.user_id)
        from (select broker_id, user_id, teams from porchlight.memberships) m";
    let teams: String = sqlx::query_scalar(teams)
        .fetch_one(&mut sql)
        .await
        .expect("teams");
    assert_eq!(teams, r#"(b,ann,"{a,c}") (b,bob,"{a,b}") (c,ann,"{a,b}")"#);
}
