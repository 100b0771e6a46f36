//! A client that lists once, and then applies each event.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::Sender;

use super::super::{Call, MODULES, body};
use crate::support::requests::client;
use crate::support::{Chance, Message, Service, Stream, Token};

/// Records by module and id.
pub type KnownRecords = BTreeMap<(String, String), Value>;

/// Records of a page: several make a list.
const LIMIT: usize = 7;
/// Events that come before the connection is cut, at the most.
const CALM: usize = 60;
/// How often a connection is cut. Then the client reads to the end.
const MOST_CUTS: usize = 12;

pub struct Viewer<'a> {
    pub known: KnownRecords,
    /// Events that it received.
    pub events: usize,
    pub cuts: usize,
    /// The id of the last event that was applied. Later ones are lost with the connection.
    cursor: String,
    services: &'a [Service; 2],
    who: Token,
    chance: Chance,
}

/// What a page of the CRM does with an event.
fn apply(known: &mut KnownRecords, event: &Value) {
    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let key = (text("module"), text("recordId"));
    match event["action"].as_str() {
        Some("created") => {
            assert!(event["data"]["version"].is_i64(), "{event}");
            known.insert(key, event["data"].clone());
        }
        Some("deleted") => drop(known.remove(&key)),
        Some("updated" | "archived" | "restored") => {
            let changes = event["changes"].as_object().expect("changes");
            if let Some(record) = known.get_mut(&key) {
                for (field, value) in changes {
                    record[field] = value.clone();
                }
            }
        }
        // Notifications and the like.
        _ => {}
    }
}

impl<'a> Viewer<'a> {
    pub fn new(services: &'a [Service; 2], who: Token, chance: Chance) -> Self {
        Self {
            known: KnownRecords::new(),
            events: 0,
            cuts: 0,
            cursor: String::new(),
            services,
            who,
            chance,
        }
    }

    /// Begins somewhere in `during`, lets go of `waited_for`, and reads until everything has
    /// arrived.
    pub async fn look(mut self, during: Duration, waited_for: Sender<()>) -> Self {
        let at = self.chance.below(1_000);
        tokio::time::sleep(during / 1_000 * u32::try_from(at).expect("small")).await;
        let (known, position) = self.list().await;
        self.known = known;
        drop(waited_for);
        let mut stream = self.open(&format!("/stream?since={position}"), "").await;
        loop {
            let calm = 1 + self.chance.below(CALM);
            if self.read(&mut stream, calm).await {
                return self;
            }
            if self.cuts < MOST_CUTS {
                self.cuts += 1;
                drop(stream);
                let last = self.cursor.clone();
                stream = self.open("/stream", &last).await;
            }
        }
    }

    /// The fields in which its records differ from a fresh list, at either instance.
    pub async fn differences(&mut self) -> Vec<String> {
        let (fresh, _) = self.list().await;
        let keys = self.known.keys().chain(fresh.keys());
        let differing = keys.filter(|key| self.known.get(*key) != fresh.get(*key));
        let differing: std::collections::BTreeSet<_> = differing.collect();
        let said = differing.into_iter().map(|key| {
            let [known, fresh] = [&self.known, &fresh].map(|all| all.get(key));
            format!(
                "{} {key:?}:\n kept {known:?}\nfresh {fresh:?}",
                self.who.user
            )
        });
        said.collect()
    }

    fn service(&mut self) -> &'a Service {
        let at = self.chance.below(2);
        &self.services[at]
    }

    async fn open(&mut self, path: &str, last_id: &str) -> Stream {
        let gzip = self.chance.below(2) == 0;
        let request = client(gzip).get(self.service().url(path));
        let mut request = request.bearer_auth(self.who.signed());
        if !last_id.is_empty() {
            request = request.header("Last-Event-ID", last_id);
        }
        Stream::open(request).await
    }

    /// Up to so many events; whether the last of all was among them.
    async fn read(&mut self, stream: &mut Stream, events: usize) -> bool {
        for _ in 0..events {
            let message = self.next(stream).await;
            if message.name == "test:marker" {
                return true;
            }
            self.events += 1;
            self.cursor.clone_from(&message.id);
            apply(&mut self.known, &message.json());
        }
        false
    }

    async fn next(&self, stream: &mut Stream) -> Message {
        loop {
            let message = stream.next().await;
            assert_ne!(message.name, "stream:reset", "{}", self.who.user);
            if message.is_logged() {
                return message;
            }
        }
    }

    /// All lists, page by page, and the position of the first page of all.
    async fn list(&mut self) -> (KnownRecords, String) {
        let (mut known, mut position) = (KnownRecords::new(), String::new());
        for (module, _, _) in MODULES {
            let mut path = format!("{module}?archived=all&limit={LIMIT}");
            loop {
                let answer = Call::by(self.service(), &self.who).get(&path).await;
                let page = body(&answer, 200);
                if position.is_empty() {
                    answer.header("stream-position").clone_into(&mut position);
                }
                for record in page["records"].as_array().expect("records") {
                    let id = record["id"].as_str().expect("an id").to_owned();
                    known.insert((module.to_owned(), id), record.clone());
                }
                let Some(next) = page["next"].as_str() else {
                    break;
                };
                path = format!("{module}?archived=all&limit={LIMIT}&cursor={next}");
            }
        }
        (known, position)
    }
}
