//! A client that applies the events has the same as a fresh list, whatever else happens.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{admin, agent, post_notifications, two};
use crate::support::appending::append_own;
use crate::support::sql::{run, until_counted};
use crate::support::{Answer, Chance, Message, Service, Stream, Token};

/// A client that lists once, and then only applies events.
struct Device {
    who: Token,
    known: BTreeMap<i64, Value>,
    unread: i64,
    stream: Stream,
}

async fn fresh(service: &Service, who: &Token) -> (BTreeMap<i64, Value>, i64, String) {
    let answer = Answer::to(service.get("/notifications?limit=200", who)).await;
    let position = answer.header("stream-position").to_owned();
    let listed = answer.json();
    assert_eq!(listed["next"], json!(null));
    let notifications = listed["notifications"].as_array().expect("a list").iter();
    let known = notifications.map(|one| (one["id"].as_i64().unwrap(), one.clone()));
    (
        known.collect(),
        listed["unread"].as_i64().unwrap(),
        position,
    )
}

impl Device {
    async fn start(service: &Service, who: &Token) -> Self {
        let (known, unread, position) = fresh(service, who).await;
        let stream = service
            .stream(&format!("/stream?since={position}"), who)
            .await;
        let who = who.clone();
        Self {
            who,
            known,
            unread,
            stream,
        }
    }

    fn apply(&mut self, message: &Message) {
        let mut data = message.json()["data"].clone();
        let unread = data.as_object_mut().and_then(|data| data.remove("unread"));
        let unread = unread.map(|unread| unread.as_i64().unwrap());
        if message.name == "notification:read" {
            let ids = data["ids"].as_array().cloned().unwrap_or_default();
            let up_to = data["upTo"].as_i64().unwrap_or(0);
            for (id, one) in &mut self.known {
                if *id <= up_to || ids.contains(&json!(id)) {
                    one["read"] = json!(true);
                }
            }
            self.unread = unread.expect("a number");
        } else if message.name.starts_with("notification:") || message.name.starts_with("system:") {
            data["read"] = json!(false);
            let is_new = self
                .known
                .insert(data["id"].as_i64().unwrap(), data)
                .is_none();
            self.unread = unread.unwrap_or(self.unread + i64::from(is_new));
        }
    }

    /// After everything up to the marker, it must have what a fresh list has.
    async fn check(mut self, service: &Service) {
        loop {
            let message = self.stream.next_logged().await;
            if message.name == "test:marker" {
                break;
            }
            self.apply(&message);
            // At every moment, and not only in the end.
            let unread = self
                .known
                .values()
                .filter(|one| one["read"] == false)
                .count();
            assert_eq!(self.unread, i64::try_from(unread).unwrap(), "{message:?}");
        }
        let (known, unread, _) = fresh(service, &self.who).await;
        assert_eq!(self.known, known, "{}", self.who.user);
        assert_eq!(self.unread, unread, "{}", self.who.user);
    }
}

async fn act(services: &[Service; 2], chance: &mut Chance) {
    let service = &services[chance.below(2)];
    let who = agent(["ann", "bob"][chance.below(2)]);
    match chance.below(10) {
        0..4 => {
            let audiences = [
                json!({"user": who.user}),
                json!({"team": "a"}),
                json!({"broker": true}),
            ];
            let audience = audiences[chance.below(3)].clone();
            let body = json!({"audience": audience, "level": "info", "title": "t"});
            assert_eq!(
                post_notifications(service, &admin(&["a"]), "", body)
                    .await
                    .status,
                201
            );
        }
        // Made by the service: each a new one, or the same again while it is unread.
        4 => {
            let task = format!("t-{}", chance.below(1_000_000));
            let data = json!({"taskId": task, "taskType": "import", "title": "Import",
                "state": "completed", "attempt": 1});
            let event = json!({"type": "ai:task:completed", "audience": {"user": who.user},
                "version": 3, "data": data});
            append_own(service, &event).await;
        }
        5 => {
            let event = json!({"type": "listing:lock_requested", "audience": {"user": who.user},
                "module": "listings", "recordId": "l-1", "data": {"by": {"userId": "svc"}}});
            append_own(service, &event).await;
        }
        6..9 => {
            let id = chance.below(60) + 1;
            let answer =
                post_notifications(service, &who, &format!("/{id}/read"), Value::Null).await;
            assert!([200, 404].contains(&answer.status), "{}", answer.text);
        }
        _ => {
            let up_to = chance.below(60) + 1;
            let body = [json!({}), json!({"upTo": up_to}), json!({"upTo": up_to})][chance.below(3)]
                .clone();
            assert_eq!(
                post_notifications(service, &who, "/read-all", body)
                    .await
                    .status,
                200
            );
        }
    }
}

#[tokio::test]
async fn notifications_folded_from_events_are_those_of_a_fresh_list() {
    let services = two(&[]).await;
    let mut chance = Chance::new();
    let mut devices = Vec::new();
    for who in ["ann", "ann", "bob"] {
        let service = &services[devices.len() % 2];
        devices.push(Device::start(service, &agent(who)).await);
    }
    let mut forks: Vec<_> = (0..6).map(|_| chance.fork()).collect();
    let hands = forks.iter_mut().map(async |chance| {
        for _ in 0..25 {
            act(&services, chance).await;
        }
    });
    futures_util::future::join_all(hands).await;
    // One device comes late, into the middle of it.
    devices.push(Device::start(&services[0], &agent("bob")).await);
    all_is_received(&services[1]).await;
    let marker = json!({"type": "test:marker", "audience": {"broker": true}});
    services[0].publish(&marker).await;
    for device in devices {
        device.check(&services[1]).await;
    }
}

/// Waits until the notifier has read everything.
async fn all_is_received(service: &Service) {
    let sql =
        "select count(*) from porchlight.brokers b left join porchlight.notified n using (broker_id)
        where b.head > coalesce(n.position, 0)";
    let mut connection = service.database.connect().await;
    let received = async {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            looks.tick().await;
            let behind = sqlx::query_scalar::<_, i64>(sql)
                .fetch_one(&mut connection)
                .await;
            if behind.expect("a count") == 0 {
                return;
            }
        }
    };
    crate::support::wait::soon("the notifier is done", received).await;
}

/// Before the first notification, too, a read and a new notification come one after the other.
#[tokio::test]
async fn a_read_waits_for_the_first_notification() {
    let [service, _other] = two(&[]).await;
    let ann = agent("ann");
    let read_all = || post_notifications(&service, &ann, "/read-all", json!({}));
    assert_eq!(read_all().await.json()["unread"], 0);
    let mut first = service.database.connect().await;
    let create = "begin;
        insert into porchlight.notification_books (broker_id, last_id) values ('b', 1)
            on conflict (broker_id) do update set last_id = 1;
        insert into porchlight.notifications (broker_id, id, audience, level, title)
            values ('b', 1, 'user:ann', 'info', 'Look')";
    run(&mut first, create).await;
    let mut sql = service.database.connect().await;
    let commit = async {
        let waits = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        until_counted(&mut sql, waits, 1).await;
        run(&mut first, "commit").await;
    };
    let (answer, ()) = tokio::join!(read_all(), commit);
    assert_eq!((answer.status, &answer.json()["unread"]), (200, &json!(0)));
    let listed = service.list("/notifications", &ann).await;
    assert_eq!(listed["notifications"][0]["read"], true, "{listed}");
}
