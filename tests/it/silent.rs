//! Connections to the database that fall silent: they take data and never answer, while new
//! ones work. That happens after a failover by DNS, or when a router has forgotten a connection.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::cluster::TestDatabase;
use crate::support::ledger::{self, Ledger};
use crate::support::returning::END;
use crate::support::{
    Answer, Proxy, Publisher, Returning, Service, Token, eventually, for_team, number,
};

mod connections;
mod spare;

/// Within this everything works again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(15);
const STREAMS: u32 = 40;
const PUBLISHERS: usize = 4;
/// Numbers of events that nobody else publishes.
const PROBE: i64 = 1_000_000;
const LAST: i64 = 1_000_001;
/// Events that are acknowledged before anything happens, and again after it.
const ENOUGH: usize = 200;

/// A service behind a proxy, with readers and publishers at work.
struct Scene {
    service: Service,
    proxy: Proxy,
    readers: JoinSet<Returning>,
    publishers: JoinSet<Ledger>,
    acknowledged: watch::Sender<usize>,
    enough: CancellationToken,
}

impl Scene {
    async fn with(flags: &[&str]) -> Self {
        let database = Arc::new(TestDatabase::create().await);
        let proxy = Proxy::before(&database).await;
        let service = Service::through(database, proxy.url(), flags).await;
        let mut scene = Self {
            service,
            proxy,
            readers: JoinSet::new(),
            publishers: JoinSet::new(),
            acknowledged: watch::Sender::new(0),
            enough: CancellationToken::new(),
        };
        scene.read();
        let opened = async || {
            let open = scene.service.metric("porchlight_streams_open").await;
            (open >= f64::from(STREAMS)).then_some(())
        };
        eventually("all streams are open", opened).await;
        scene.publish();
        scene.wait_for_more().await;
        scene
    }

    fn read(&mut self) {
        let url = self.service.url("/stream/team?since=0");
        for n in 0..STREAMS {
            let token = Token::user(&format!("u{n}"), &["a"]);
            let reader = Returning::new(url.clone(), &token, vec!["team:a".to_owned()], n % 2 == 0);
            let acknowledged = self.acknowledged.subscribe();
            self.readers.spawn(reader.read(Vec::new(), acknowledged));
        }
    }

    fn publish(&mut self) {
        for publisher in 0..PUBLISHERS {
            let (acknowledged, enough) = (self.acknowledged.clone(), self.enough.clone());
            let client = Publisher::new(&self.service.url(""));
            self.publishers.spawn(async move {
                let mut acknowledgements = Ledger::default();
                for n in (publisher..).step_by(PUBLISHERS) {
                    let n = u32::try_from(n).expect("a small number");
                    if enough.is_cancelled() {
                        break;
                    }
                    let positions = client
                        .insist(&format!("k{n}"), &for_team("a", n.into()))
                        .await;
                    acknowledgements.acknowledge(&positions, &[n.into()]);
                    acknowledged.send_modify(|n| *n += 1);
                }
                acknowledgements
            });
        }
    }

    /// Waits until publishers have got further.
    async fn wait_for_more(&self) {
        let so_far = *self.acknowledged.borrow();
        let mut acknowledged = self.acknowledged.subscribe();
        let further = acknowledged.wait_for(|n| *n >= so_far + ENOUGH);
        drop(further.await.expect("publishers go on"));
    }

    /// How long it takes until an event is published and the log can be read.
    async fn recovery(&self) -> Duration {
        let began = Instant::now();
        let probe =
            json!({"type": "test:probe", "audience": {"broker": true}, "data": {"n": PROBE}});
        let publisher = Publisher::new(&self.service.url(""));
        publisher.insist("probe", &probe).await;
        let reader = Token::user("reader", &["a"]);
        let reads = async || {
            let answer = Answer::to(self.service.get("/events?limit=1", &reader)).await;
            (answer.status == 200).then_some(())
        };
        eventually("the log can be read", reads).await;
        began.elapsed()
    }

    /// Ends publishing, and checks that everybody has everything once and in order.
    async fn finish(self) -> Vec<Returning> {
        self.enough.cancel();
        let mut acknowledgements = Ledger::default();
        for part in self.publishers.join_all().await {
            acknowledgements.add(part);
        }
        let end = json!({"type": END, "audience": {"team": "a"}, "data": {"n": LAST}});
        let publisher = Publisher::new(&self.service.url(""));
        acknowledgements.acknowledge(&publisher.insist("end", &end).await, &[LAST]);
        acknowledgements.sure.push(PROBE);
        let readers = self.readers.join_all().await;
        let log = ledger::log(&mut self.service.database.connect().await).await;
        ledger::check_log(&log, &acknowledgements);
        for reader in &readers {
            ledger::check_seen(&log, reader);
        }
        readers
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_recovers_from_silent_connections_and_loses_nothing() {
    let scene = Scene::with(&[]).await;
    scene.proxy.silence();
    let recovery = scene.recovery().await;
    assert!(recovery < RECOVERED_WITHIN, "{recovery:?}");
    scene.wait_for_more().await;
    for reader in scene.finish().await {
        let received = |reason: &String| reason == "unavailable";
        assert!(reader.closed.iter().all(received), "{:?}", reader.closed);
        assert_eq!(reader.opened, 1 + reader.closed.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_learn_that_their_instance_has_lost_its_database_and_miss_nothing() {
    let scene = Scene::with(&["--unavailable-seconds=1", "--poll-ms=200"]).await;
    scene.proxy.silence();
    let service = &scene.service;
    let is_told = async || {
        let ready = service.client.get(service.url("/health/ready"));
        let status = Answer::to(ready).await.status;
        (status == 503 && service.metric("porchlight_streams_open").await == 0.0).then_some(())
    };
    let received = async {
        eventually("all streams have ended with the reason", is_told).await;
        // A new client gets the same answer, and when to come back.
        let mut newcomer = service.stream("/stream/team", &newcomer()).await;
        let closing = newcomer.next().await.json();
        (newcomer.status, newcomer.retry_ms, closing)
    };
    let ((status, retry_ms, closing), recovery) = tokio::join!(received, scene.recovery());
    assert_eq!(status, 200);
    assert_eq!(closing["reason"], "unavailable");
    assert_eq!(retry_ms, closing["retryMs"].as_u64());
    assert!(recovery < RECOVERED_WITHIN, "{recovery:?}");
    scene.wait_for_more().await;
    for reader in scene.finish().await {
        assert_eq!(
            reader.closed.first().map(String::as_str),
            Some("unavailable")
        );
    }
}

fn newcomer() -> Token {
    Token::user("newcomer", &["a"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_give_silent_connections_up() {
    const CLIENTS: usize = 12;
    let database = Arc::new(TestDatabase::create().await);
    let proxy = Proxy::before(&database).await;
    let flags = ["--database-connections=4"];
    let service = Arc::new(Service::through(database, proxy.url(), &flags).await);
    service.publish(&for_team("a", 1)).await;
    let silent_since = watch::Sender::new(None::<Instant>);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (service, silent) = (Arc::clone(&service), silent_since.subscribe());
        clients.spawn(async move {
            // Some are in the middle of it when their connection falls silent.
            loop {
                let began = Instant::now();
                let request = service.get("/events?limit=1", &newcomer());
                let status = Answer::to(request).await.status;
                assert!([200, 503].contains(&status), "{status}");
                let since = *silent.borrow();
                if let Some(since) = since.filter(|since| began > *since)
                    && status == 200
                {
                    return since.elapsed();
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.silence();
    silent_since.send_replace(Some(Instant::now()));
    let slowest = clients.join_all().await.into_iter().max();
    let slowest = slowest.expect("there are some");
    assert!(slowest < RECOVERED_WITHIN, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_of_other_instances_arrive_again() {
    let database = Arc::new(TestDatabase::create().await);
    let proxy = Proxy::before(&database).await;
    // Without a poll, so that only what came by a notice arrives in time.
    let flags = ["--poll-ms=60000"];
    let cut_off = Service::through(Arc::clone(&database), proxy.url(), &flags).await;
    let other = Service::on(database, &flags).await;
    let mut stream = cut_off.stream("/stream/team", &newcomer()).await;
    stream.next_state("locks:snapshot").await;
    proxy.silence();
    let began = Instant::now();
    let seen_change = CancellationToken::new();
    let typing = async {
        let who = Token::user("typist", &["a"]);
        let body = json!({"name": "typing", "team": "a"});
        while !seen_change.is_cancelled() {
            let url = other.url("/signals");
            let post = other.client.post(url).bearer_auth(who.signed());
            Answer::to(post.json(&body)).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let receiving = async {
        stream.next_state("user:typing").await;
        seen_change.cancel();
    };
    tokio::join!(typing, receiving);
    assert!(began.elapsed() < RECOVERED_WITHIN, "{:?}", began.elapsed());
    other.publish(&for_team("a", 5)).await;
    assert_eq!(number(&stream.next_logged().await), 5);
}
