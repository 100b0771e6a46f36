//! Keys of all other writes: each is done once, and a repeat gets the first answer again.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::instances::two;
use crate::support::people::{admin, agent, ann};
use crate::support::{Answer, Service, Token};

/// A write with a key.
struct Write<'a> {
    who: &'a Token,
    method: Method,
    path: &'a str,
    body: Value,
}

impl<'a> Write<'a> {
    fn post(who: &'a Token, path: &'a str, body: Value) -> Self {
        let method = Method::POST;
        Self {
            who,
            method,
            path,
            body,
        }
    }

    fn delete(who: &'a Token, path: &'a str) -> Self {
        let (method, body) = (Method::DELETE, Value::Null);
        Self {
            who,
            method,
            path,
            body,
        }
    }

    async fn send(&self, service: &Service, key: &str) -> Answer {
        let request = service
            .client
            .request(self.method.clone(), service.url(self.path));
        let request = request
            .bearer_auth(self.who.signed())
            .header("Idempotency-Key", key);
        Answer::to(match &self.body {
            Value::Null => request,
            Value::String(csv) => request.header("Content-Type", "text/csv").body(csv.clone()),
            body => request.json(body),
        })
        .await
    }

    /// Sends it twice with one key, and then another write of the same operation with this key. Gives
    /// the first answer.
    async fn twice(&self, service: &Service, key: &str, other: &Self) -> Answer {
        let first = self.send(service, key).await;
        let what = format!("{} {}", self.method, self.path);
        assert!(first.status < 300, "{what}: {}", first.text);
        assert!(!is_repeat(&first), "{what}");
        let again = self.send(service, key).await;
        assert!(is_repeat(&again), "{what}: {}", again.text);
        assert_eq!(first.text, again.text, "{what}");
        for name in ["etag", "location", "stream-position"] {
            assert_eq!(first.headers.get(name), again.headers.get(name), "{what}");
        }
        // A repeated request for a task was always answered with 200.
        let status = if self.path == "/tasks" {
            200
        } else {
            first.status
        };
        assert_eq!(again.status, status, "{what}");
        let field = other
            .send(service, key)
            .await
            .refused(409, "idempotency_key_reused", &what);
        assert_eq!(field.as_deref(), Some("Idempotency-Key"), "{what}");
        first
    }
}

fn is_repeat(answer: &Answer) -> bool {
    answer.headers.contains_key("idempotency-replayed")
}

/// How many events of each type there are, in short.
async fn types(service: &Service, who: &Token) -> Vec<String> {
    let listed = service.list("/events?types=escrow:*", who).await;
    let events = listed["events"].as_array().expect("a list").iter();
    let types = events.filter_map(|event| event["type"].as_str());
    types.map(|name| name.replace("escrow:", "")).collect()
}

async fn until_events(service: &Service, who: &Token, count: usize) -> Vec<String> {
    loop {
        let types = types(service, who).await;
        if types.len() >= count {
            return types;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

const RECORD: &str = "/records/escrows/e-1";

/// The fields of a new record.
fn new(id: &str) -> Value {
    json!({"id": id, "address": "1 Oak St"})
}

#[tokio::test]
async fn each_write_of_a_record_is_done_once() {
    let service = Service::start().await;
    let ann = ann();
    let create = |id: &str| Write::post(&ann, "/records/escrows", new(id));
    let created = create("e-1").twice(&service, "k", &create("e-2")).await;
    assert_eq!(created.header("etag"), "\"1\"");
    let patch = |address: &str| Write {
        method: Method::PATCH,
        ..Write::post(&ann, RECORD, json!({"address": address}))
    };
    let (write, other) = (patch("2 Elm St"), patch("3 Fir St"));
    let patched = write.twice(&service, "k", &other).await;
    assert_eq!(patched.header("etag"), "\"2\"");
    for (verb, version) in [("archive", "\"3\""), ("restore", "\"4\"")] {
        let targets = ["e-1", "e-2"].map(|id| format!("/records/escrows/{id}/{verb}"));
        let [first, other] = &targets;
        let [first, other] = [first, other].map(|target| Write::post(&ann, target, Value::Null));
        let moved = first.twice(&service, "k", &other).await;
        assert_eq!(moved.header("etag"), version, "{verb}");
    }
    let other = Write::delete(&ann, "/records/escrows/e-2");
    let write = Write::delete(&ann, RECORD);
    let deleted = write.twice(&service, "k", &other).await;
    // The version of the event.
    assert_eq!((deleted.status, deleted.header("etag")), (204, "\"4\""));
    let events = until_events(&service, &ann, 5).await;
    let expected = ["created", "updated", "archived", "restored", "deleted"];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn each_change_of_a_lock_is_made_once() {
    let service = Service::start().await;
    let (ann, bob, boss) = (ann(), agent("bob"), admin(&["a"]));
    let lock = |session: &str| {
        let body = json!({"module": "escrows", "recordId": "e-1", "session": session});
        Write::post(&ann, "/locks", body)
    };
    let first = lock("tab").twice(&service, "k", &lock("other")).await;
    assert_eq!((first.status, &first.json()["fence"]), (201, &json!(1)));
    let shared = lock("phone").twice(&service, "k-2", &lock("other")).await;
    assert_eq!(shared.status, 200);
    for (who, what) in [(&ann, "renew"), (&bob, "request"), (&boss, "takeover")] {
        let path = format!("/locks/escrows/e-1/{what}");
        let [write, other] =
            ["tab", "other"].map(|name| Write::post(who, &path, json!({"session": name})));
        write.twice(&service, "k", &other).await;
    }
    // The first answer, although somebody else has the lock now.
    let again = lock("tab").send(&service, "k").await;
    assert!(
        is_repeat(&again) && again.text == first.text,
        "{}",
        again.text
    );
    let other = Write::delete(&boss, "/locks/escrows/e-1?session=tab");
    let release = Write::delete(&boss, "/locks/escrows/e-1");
    release.twice(&service, "k", &other).await;
    let events = types(&service, &ann).await;
    let expected = ["locked", "lock_requested", "unlocked", "locked", "unlocked"];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn each_task_upload_and_reading_is_done_once() {
    let service = Service::start().await;
    let ann = ann();
    let task = |kind: &str| Write::post(&ann, "/tasks", json!({"type": kind}));
    let first = task("sum").twice(&service, "k", &task("count")).await;
    let id = first.json()["id"].clone();
    let second = task("count").send(&service, "k-2").await;
    let second = second.json()["id"].clone();
    for verb in ["cancel", "retry"] {
        let path = |id: &Value| format!("/tasks/{}/{verb}", id.as_str().expect("an id"));
        let (path, other) = (path(&id), path(&second));
        let [write, other] = [&path, &other].map(|path| Write::post(&ann, path, Value::Null));
        write.twice(&service, "k", &other).await;
    }
    let listed = service.list("/tasks", &ann).await;
    assert_eq!(listed["tasks"].as_array().map(Vec::len), Some(3));
    let file = |name: &str| Write::post(&ann, "/uploads", json!(format!("Name\n{name}\n")));
    file("Ann").twice(&service, "k", &file("Bob")).await;
    let note = |title: &str| {
        let body = json!({"audience": {"user": "ann"}, "level": "info", "title": title});
        Write::post(&ann, "/notifications", body)
    };
    let noted = note("one").twice(&service, "k", &note("two")).await;
    note("two").send(&service, "k-2").await;
    let path = format!("/notifications/{}/read", noted.json()["id"]);
    let [read, other] =
        [&*path, "/notifications/99/read"].map(|path| Write::post(&ann, path, Value::Null));
    let read = read.twice(&service, "k", &other).await;
    assert_eq!(read.json(), json!({"unread": 1}));
    assert!(!read.header("stream-position").is_empty());
    let read_all = |up_to: Value| {
        let body = json!({"upTo": up_to});
        Write::post(&ann, "/notifications/read-all", body)
    };
    let other = read_all(json!(1));
    let read = read_all(Value::Null).twice(&service, "k", &other).await;
    assert_eq!(read.json(), json!({"unread": 0}));
}

#[tokio::test]
async fn writes_that_race_with_one_key_are_done_once() {
    let services = &two(&[]).await;
    let ann = ann();
    let create = Write::post(&ann, "/records/escrows", new("e-1"));
    let patch = Write {
        method: Method::PATCH,
        ..Write::post(&ann, RECORD, json!({"address": "2 Elm St"}))
    };
    let lock = json!({"module": "escrows", "recordId": "e-1", "session": "tab"});
    let lock = Write::post(&ann, "/locks", lock);
    for write in [create, patch, lock, Write::delete(&ann, RECORD)] {
        let racing = (0..8).map(|n| write.send(&services[n % 2], "k"));
        let answers = futures_util::future::join_all(racing).await;
        let new = answers.iter().filter(|answer| !is_repeat(answer)).count();
        let what = format!("{} {}", write.method, write.path);
        assert_eq!(new, 1, "{what}");
        for answer in &answers {
            let same = (answer.status, &answer.text) == (answers[0].status, &answers[0].text);
            assert!(same && answer.status < 300, "{what}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_write_that_was_refused_or_is_a_day_old_does_not_use_its_key_up() {
    let service = Service::start().await;
    let ann = ann();
    let create = |id: &str| Write::post(&ann, "/records/escrows", new(id));
    assert_eq!(create("e-1").send(&service, "k-1").await.status, 201);
    let taken = create("e-1").send(&service, "k-2").await;
    taken.refused(409, "id_taken", "an id that is taken");
    assert_eq!(create("e-2").send(&service, "k-2").await.status, 201);
    let mut sql = service.database.connect().await;
    let age =
        "update porchlight.idempotency_keys set created_at = created_at - interval '25 hours'";
    sql.execute(age).await.expect("aged");
    let new = create("e-3").twice(&service, "k-2", &create("e-4")).await;
    assert_eq!(new.json()["id"], "e-3");
}
