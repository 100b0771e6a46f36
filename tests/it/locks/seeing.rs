//! Who sees which lock: lists, snapshots and events agree, and show nobody what is not theirs.

use porchlight::log::{Audience, NewEvent};
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use super::until_counted;
use super::{RECORD, admin, agent, in_short, lock, locks, post_lock, two, unlock};
use crate::support::appending::append_events;
use crate::support::{Answer, Service, Stream, Token};

/// Makes a record known to a team.
async fn known_to(service: &Service, team: &str, record: &str) {
    let event = json!({"type": "escrow:updated", "audience": {"team": team}, "module": "escrows",
        "recordId": record});
    service.publish(&event).await;
}

async fn snapshot(service: &Service, path: &str, who: &Token) -> Value {
    service
        .stream(path, who)
        .await
        .next_state("locks:snapshot")
        .await
}

fn records(locks: &Value) -> Vec<&str> {
    let locks = locks["locks"].as_array().expect("a list").iter();
    locks
        .map(|lock| lock["recordId"].as_str().expect("a record"))
        .collect()
}

#[tokio::test]
async fn a_stream_begins_with_what_is_held_and_goes_on_with_what_changes() {
    let [a, b] = &two(&[]).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    assert_eq!(snapshot(a, "/stream", &ann).await["locks"], json!([]));
    for record in ["e-1", "e-2", "e-3"] {
        lock(a, &ann, record, "tab").await;
    }
    unlock(b, &ann, "e-2").await;
    let mut stream = b.stream("/stream", &bob).await;
    let first = stream.next_state("locks:snapshot").await;
    assert_eq!(records(&first), ["e-1", "e-3"]);
    let listed = Answer::to(b.get("/locks", &bob)).await;
    let position = listed.header("stream-position");
    assert_eq!(first["position"], position);
    assert_eq!(first["locks"], listed.json()["locks"]);
    assert_eq!(position.split('-').next(), Some("4"));
    // From the list on, nothing is missed.
    unlock(a, &ann, "e-1").await;
    let mut since = a.stream(&format!("/stream?since={position}"), &bob).await;
    for stream in [&mut stream, &mut since] {
        let received = stream.next_logged().await;
        assert_eq!(
            in_short(&received.name, &received.json()["data"]),
            "escrow:unlocked released ann 1"
        );
        assert_eq!(received.json()["recordId"], "e-1");
    }
    // As much of it as is wanted.
    let of_record = snapshot(a, "/stream/records/escrows/e-3", &bob).await;
    assert_eq!(records(&of_record), ["e-3"]);
    let filtered = snapshot(a, "/stream?records=escrows/e-9,escrows/e-3", &bob).await;
    assert_eq!(records(&filtered), ["e-3"]);
    assert_eq!(records(&snapshot(a, "/stream/user", &bob).await), [""; 0]);
    let query = async |query: &str| locks(b, &bob, query).await;
    assert_eq!(query("?module=escrows").await.len(), 1);
    assert_eq!(query("?module=leads").await.len(), 0);
    assert_eq!(query("?record=escrows/e-3").await.len(), 1);
    assert_eq!(query("?record=escrows/e-1&module=escrows").await.len(), 0);
    // A stream that excludes these events receives none.
    let mut deaf = a.stream("/stream?types=escrow:*", &bob).await;
    lock(b, &bob, "e-1", "tab").await;
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "escrow:locked") {
        names.push(deaf.next_of_all().await.name);
    }
    assert!(
        !names.iter().any(|name| name == "locks:snapshot"),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_snapshot_and_the_events_after_it_are_what_is_held() {
    let [a, b] = &two(&[]).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let changing = async {
        for n in 0..150 {
            let record = format!("e-{}", n % 7);
            let at = [a, b][n % 2];
            if lock(at, &ann, &record, "tab").await.status == 200 {
                unlock(at, &ann, &record).await;
            }
        }
    };
    let opening = async {
        let mut streams = Vec::new();
        for n in 0..20 {
            let who = agent(&format!("u-{n}"));
            streams.push([a, b][n % 2].stream("/stream", &who).await);
        }
        streams
    };
    let ((), streams) = tokio::join!(changing, opening);
    let marker = json!({"type": "test:marker", "audience": {"team": "a"}});
    a.publish(&marker).await;
    let held = locks(a, &bob, "").await;
    for stream in streams {
        let seen = held_by_a_client(stream).await;
        assert_eq!(fences(&seen), fences(&held));
    }
}

/// Records and fences, in a certain order.
pub(super) fn fences(locks: &[Value]) -> Vec<(String, i64)> {
    let received = |lock: &Value| {
        (
            lock["recordId"].to_string(),
            lock["fence"].as_i64().unwrap(),
        )
    };
    let mut all: Vec<_> = locks.iter().map(received).collect();
    all.sort();
    all
}

/// What a client knows that reads the snapshot and applies the events after it.
pub(super) async fn held_by_a_client(mut stream: Stream) -> Vec<Value> {
    let mut held: Vec<Value> = Vec::new();
    let mut from = 0;
    loop {
        let message = stream.next_of_all().await;
        let data: Value = serde_json::from_str(&message.data).unwrap_or_default();
        match &message.name[..] {
            "test:marker" => return held,
            "stream:reset" => (held, from) = (Vec::new(), 0),
            "locks:snapshot" => {
                held.clone_from(data["locks"].as_array().unwrap());
                let position = data["position"].as_str().unwrap();
                from = position.split('-').next().unwrap().parse().unwrap();
            }
            "escrow:locked" | "escrow:unlocked" if message.position() > from => {
                held.retain(|lock| lock["recordId"] != data["recordId"]);
                if message.name == "escrow:locked" {
                    let mut lock = data["data"].clone();
                    lock["recordId"] = data["recordId"].clone();
                    held.push(lock);
                }
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn another_teams_lock_is_as_absent_as_its_record() {
    let [a, b] = &two(&[]).await;
    let (ann, bea) = (agent("ann"), Token::user("bea", &["b"]));
    known_to(a, "b", "e-b").await;
    assert_eq!(lock(a, &bea, "e-b", "tab").await.status, 201);
    let mut stream = b.stream("/stream", &ann).await;
    let first = stream.next_state("locks:snapshot").await;
    assert_eq!(first["locks"], json!([]));
    assert_eq!(locks(b, &ann, "").await.len(), 0);
    assert_eq!(locks(b, &ann, "?record=escrows/e-b").await.len(), 0);
    assert_eq!(locks(b, &bea, "").await.len(), 1);
    // Every request has the same answer as for a record that does not exist, also for admins.
    let body = json!({"session": "tab"});
    for who in [&ann, &admin(&["a"])] {
        let answers = [
            lock(b, who, "e-b", "tab").await,
            post_lock(b, who, "e-b/renew", body.clone()).await,
            post_lock(b, who, "e-b/request", body.clone()).await,
            post_lock(b, who, "e-b/takeover", body.clone()).await,
            unlock(b, who, "e-b").await,
        ];
        for answer in answers {
            let field = answer.refused(404, "unknown_record", "another team's record");
            assert_eq!(field.as_deref(), Some("recordId"));
            assert!(!answer.text.contains("bea"), "{}", answer.text);
        }
    }
    // The same names elsewhere are other things.
    for who in [ann.clone().of("c"), bea.clone().of("c")] {
        assert_eq!(locks(b, &who, "").await.len(), 0);
        assert_eq!(snapshot(a, "/stream", &who).await["locks"], json!([]));
        unlock(a, &who, "e-b")
            .await
            .refused(404, "not_locked", "another broker's lock");
    }
    assert_eq!(unlock(b, &bea, "e-b").await.status, 204);
    lock(a, &ann, RECORD, "tab").await;
    let received = stream.next_logged().await;
    assert_eq!(received.json()["recordId"], RECORD);
}

#[tokio::test]
async fn a_record_that_changes_hands_while_it_is_locked_stays_with_its_new_team() {
    let [a, b] = &two(&[]).await;
    let (ann, bea) = (agent("ann"), Token::user("bea", &["b"]));
    known_to(a, "a", "e-x").await;
    lock(a, &ann, "e-x", "tab").await;
    known_to(b, "b", "e-x").await;
    let body = json!({"session": "tab"});
    post_lock(a, &ann, "e-x/renew", body)
        .await
        .refused(404, "unknown_record", "a renewal");
    lock(b, &bea, "e-x", "tab")
        .await
        .refused(409, "locked", "a lock from before");
    // The end is published to those that know of the beginning, and gives them nothing back.
    let mut stream = a.stream("/stream/team", &ann).await;
    assert_eq!(unlock(a, &ann, "e-x").await.status, 204);
    assert_eq!(stream.next_logged().await.name, "escrow:unlocked");
    lock(a, &ann, "e-x", "tab")
        .await
        .refused(404, "unknown_record", "a new lock");
    assert_eq!(lock(b, &bea, "e-x", "tab").await.status, 201);
    assert_eq!(locks(a, &ann, "").await.len(), 0);
}

/// The events of a stream about locks, in short, up to the marker.
async fn of_locks(stream: &mut Stream) -> Vec<String> {
    let events = stream.logged_until("test:marker").await.into_iter();
    let of_locks = events.filter(|event| event.name.contains("lock"));
    of_locks
        .map(|event| in_short(&event.name, &event.json()["data"]))
        .collect()
}

#[tokio::test]
async fn lists_show_the_lock_of_a_record_that_moved_to_its_new_team_only() {
    let [a, b] = &two(&[]).await;
    let (ann, bea) = (agent("ann"), Token::user("bea", &["b"]));
    let zoe = Token::user("zoe", &["z"]);
    assert_eq!(lock(a, &ann, "e-x", "tab").await.status, 201);
    for who in [&bea, &zoe] {
        // From here on their teams are known.
        a.list("/notifications", who).await;
        let asked = post_lock(b, who, "e-x/request", json!({})).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
    }
    known_to(a, "b", "e-x").await;
    for (who, seen) in [(&bea, 1), (&zoe, 0), (&ann, 0)] {
        for query in ["", "?record=escrows/e-x", "?module=escrows"] {
            assert_eq!(locks(b, who, query).await.len(), seen, "{}", who.user);
        }
        let snapshot = snapshot(b, "/stream", who).await;
        assert_eq!(records(&snapshot).len(), seen, "{}", who.user);
    }
    let mut streams = [
        a.stream("/stream", &bea).await,
        b.stream("/stream", &zoe).await,
    ];
    assert_eq!(unlock(a, &ann, "e-x").await.status, 204);
    let marker = json!({"type": "test:marker", "audience": {"broker": true}});
    a.publish(&marker).await;
    // Everybody was told of the beginning. Who waited and does not see the record is told no more.
    let [beas, zoes] = &mut streams;
    let unlocked = "escrow:unlocked released ann 1";
    assert_eq!(of_locks(beas).await, [unlocked, "escrow:lock_available 1"]);
    assert_eq!(of_locks(zoes).await, [unlocked]);
}

#[tokio::test]
async fn both_teams_are_told_of_the_end_of_a_lock_and_only_the_new_one_of_a_takeover() {
    let [a, b] = &two(&[]).await;
    let (ann, bea) = (agent("ann"), Token::user("bea", &["b"]));
    let mut streams = [
        a.stream("/stream", &ann).await,
        b.stream("/stream", &bea).await,
    ];
    for record in ["e-x", "e-y"] {
        known_to(a, "a", record).await;
        assert_eq!(lock(a, &ann, record, "tab").await.status, 201);
        known_to(a, "b", record).await;
    }
    assert_eq!(unlock(b, &ann, "e-x").await.status, 204);
    let taken = post_lock(b, &admin(&["b"]), "e-y/takeover", json!({"session": "tab"})).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    let marker = json!({"type": "test:marker", "audience": {"broker": true}});
    a.publish(&marker).await;
    let [anns, beas] = &mut streams;
    let mut taken_from = Value::Null;
    let mut seen = Vec::new();
    for event in anns.logged_until("test:marker").await {
        if event.name.contains("lock") {
            seen.push(in_short(&event.name, &event.json()["data"]));
            taken_from = event.json();
        }
    }
    let told = [
        "escrow:locked ann 1",
        "escrow:locked ann 1",
        "escrow:unlocked released ann 1",
        "escrow:unlocked taken_over ann 1",
    ];
    assert_eq!(seen, told);
    let by = (&taken_from["data"]["by"], &taken_from["userId"]);
    assert_eq!(by, (&Value::Null, &Value::Null));
    let told = ["escrow:unlocked released ann 1", "escrow:locked boss 2"];
    assert_eq!(of_locks(beas).await, told);
}

#[tokio::test]
async fn the_lock_of_a_record_that_moves_meanwhile_is_not_published_to_its_old_team() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    known_to(a, "a", "e-x").await;
    let (mut beside, mut watching) = (a.database.connect().await, b.database.connect().await);
    let mut moving = beside.begin().await.unwrap();
    let team_b = Audience::Team("b".parse().unwrap());
    let moved = NewEvent::new(team_b, "escrow:updated".parse().unwrap());
    let moved = moved.about(&"escrows/e-x".parse().unwrap());
    let received = append_events(&mut moving, &[("b".parse().unwrap(), vec![moved])]).await;
    received.unwrap();
    // Who asks now sees the record; its grant has to wait for the log.
    let committing = async {
        let sql = "select count(*) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'";
        until_counted(&mut watching, sql, 1).await;
        moving.commit().await.unwrap();
    };
    let (late, ()) = tokio::join!(lock(a, &ann, "e-x", "tab"), committing);
    late.refused(404, "unknown_record", "a grant that came too late");
    let bea = Token::user("bea", &["b"]);
    let granted = lock(b, &bea, "e-x", "tab").await;
    assert_eq!((granted.status, &granted.json()["fence"]), (201, &json!(1)));
}

#[tokio::test]
async fn long_lists_say_that_they_are_cut_and_where_they_continue() {
    let [a, b] = &two(&["--locks-per-user=0"]).await;
    let ann = agent("ann");
    lock(a, &ann, RECORD, "tab").await;
    let fill = "insert into porchlight.locks select broker_id, module, 'f-' || n, 1, user_id,
             session, sessions, audience, locked_at, renewed_at, locked_until, '[]'
         from porchlight.locks, generate_series(1, 999) n";
    let mut connection = a.database.connect().await;
    connection.execute(fill).await.unwrap();
    let whole = b.list("/locks", &ann).await;
    assert_eq!(records(&whole).len(), 1_000);
    assert_eq!(whole.get("truncated"), None);
    lock(a, &ann, "e-2", "tab").await;
    lock(a, &agent("bob"), "e-3", "tab").await;
    let list = b.list("/locks", &ann).await;
    let snapshot = snapshot(a, "/stream", &ann).await;
    // A stream has the locks of others, however many one user has.
    let seen = records(&snapshot);
    assert!(
        seen.iter().any(|record| record.ends_with("e-3")),
        "{seen:?}"
    );
    for cut in [list, snapshot] {
        let mut seen = records(&cut);
        assert_eq!((seen.len(), &cut["truncated"]), (1_000, &json!(true)));
        let next = cut["next"].as_str().expect("a cursor");
        let rest = b.list(&format!("/locks?cursor={next}"), &ann).await;
        seen.extend(records(&rest));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen.len(), &rest["next"]), (1_002, &Value::Null));
    }
}

#[tokio::test]
async fn many_streams_that_open_at_once_are_answered_together() {
    let [a, _] = &two(&[]).await;
    let ann = agent("ann");
    lock(a, &ann, RECORD, "tab").await;
    let opening = (0..200).map(|n| {
        let who = agent(&format!("u-{n}"));
        async move { records(&snapshot(a, "/stream", &who).await).len() }
    });
    let seen = futures_util::future::join_all(opening).await;
    assert_eq!(seen, vec![1; 200]);
}
